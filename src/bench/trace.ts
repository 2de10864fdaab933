/** A profile in the trace format of Chrome, for `chrome://tracing`, Perfetto and speedscope. */
import type { TracedCall } from './profile.ts';

/** JSON text: one complete event per call, microseconds, one row per lane. */
export function chromeTrace(name: string, calls: readonly TracedCall[]): string {
  const lanes = [...new Set(calls.map(({ lane }) => lane))].sort((a, b) => a - b);
  const traceEvents = [
    { name: 'process_name', ph: 'M', pid: 1, tid: 0, args: { name } },
    ...lanes.map((lane) => ({
      name: 'thread_name',
      ph: 'M',
      pid: 1,
      tid: lane,
      args: { name: lane === 0 ? 'all threads, and lane 0' : `lane ${lane}` },
    })),
    ...calls.map((call) => ({
      name: call.operation,
      cat: call.path || 'model',
      ph: 'X',
      pid: 1,
      tid: call.lane,
      ts: call.start * 1e6,
      dur: call.seconds * 1e6,
      args: {
        path: call.path,
        precision: call.precision,
        gigaflopsPerSecond: call.flops / call.seconds / 1e9,
        gigabytesPerSecond: call.bytes / call.seconds / 1e9,
      },
    })),
  ];
  return `${JSON.stringify({ traceEvents, displayTimeUnit: 'ms' })}\n`;
}
