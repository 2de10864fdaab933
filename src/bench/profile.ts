/**
 * Where the time of a program goes: its calls, each with the median of its times, grouped by operation and by layer.
 * The roofline of a call is the time that its FLOPs take at the measured peak of their precision, or its bytes at the
 * measured bandwidth, whichever is longer; a call on a share of the threads has that share of both.
 */
import type { Program, ProgramCall } from '../compiler/index.ts';
import type { CallTime, RunStatistics } from '../runtime/executor.ts';
import type { Machine } from './machine.ts';
import { peakAt } from './measurement.ts';
import { quantile, sum } from './statistics.ts';

export interface CallProfile {
  readonly operation: string;
  readonly path: string;
  readonly precision: 'bfloat16' | 'float32';
  /** Share of the threads that the call has: 1 but in lanes. */
  readonly threadShare: number;
  readonly lane: number;
  readonly seconds: number;
  readonly flops: number;
  readonly bytes: number;
}

export interface TracedCall extends CallProfile {
  /** Seconds after the run began. */
  readonly start: number;
}

/** Calls of one operation or one layer, added up. */
export interface ProfileRow {
  readonly name: string;
  readonly calls: number;
  readonly seconds: number;
  /** Of the time of all calls. */
  readonly share: number;
  readonly flopsPerSecond: number;
  readonly bytesPerSecond: number;
  /** Time over the time of the roofline: 1 is as fast as the machine was measured to be; null where nothing is counted. */
  readonly overRoofline: number | null;
}

export interface Profile {
  readonly program: string;
  readonly runs: number;
  /** Median time of a whole run with the clock read at every call. */
  readonly seconds: number;
  /** Median time that the host spent around the run: inputs, the call into native code, the way back. */
  readonly hostSeconds: number;
  readonly operations: readonly ProfileRow[];
  readonly layers: readonly ProfileRow[];
}

/** The times of one program over several runs. */
export class ProfileRecorder {
  readonly program: Program;
  readonly #places: readonly { readonly lane: number; readonly threadShare: number }[];
  readonly #times: number[][];
  readonly #totals: number[] = [];
  readonly #host: number[] = [];
  #last: readonly CallTime[] = [];

  constructor(program: Program) {
    this.program = program;
    this.#places = placesOf(program);
    this.#times = program.calls.map(() => []);
  }

  /** A run in which the clock was read at every call. */
  add({ calls = [], seconds }: Pick<RunStatistics, 'calls' | 'seconds'>): void {
    for (const time of calls) this.#times[time.call].push(time.seconds);
    this.#last = calls;
    this.#totals.push(seconds);
  }

  /** Seconds around a run without such times: handing them over takes the host longer than the rest. */
  addHost(seconds: number): void {
    this.#host.push(seconds);
  }

  get runs(): number {
    return this.#totals.length;
  }

  /** Calls with their median times. */
  calls(): CallProfile[] {
    return this.#times.map((times, index) => this.#describe(index, quantile(times, 0.5)));
  }

  /** The last run as it was, call by call. */
  trace(): TracedCall[] {
    return this.#last.map(({ call, start, seconds }) => ({ ...this.#describe(call, seconds), start }));
  }

  #describe(index: number, seconds: number): CallProfile {
    const { calls, buffers } = this.program;
    const call = calls[index];
    const { operation, path, flops, bytes } = call;
    const precision = precisionOf(call, (buffer) => buffers[buffer].dtype);
    return { operation, path, precision, ...this.#places[index], seconds, flops, bytes };
  }

  profile(machine: Machine): Profile {
    const calls = this.calls();
    return {
      program: this.program.name,
      runs: this.runs,
      seconds: quantile(this.#totals, 0.5),
      hostSeconds: this.#host.length > 0 ? quantile(this.#host, 0.5) : 0,
      operations: group(calls, machine, operationName),
      layers: group(calls, machine, ({ path }) => path || 'model'),
    };
  }
}

/** An operation at one precision: products of both kinds have different peaks. */
function operationName({ operation, precision, flops }: CallProfile): string {
  return flops > 0 ? `${operation} (${precision})` : operation;
}

function placesOf({ schedule, calls, threads }: Program): { lane: number; threadShare: number }[] {
  const places = calls.map(() => ({ lane: 0, threadShare: 1 }));
  for (const item of schedule) {
    if ('call' in item) continue;
    item.lanes.forEach((lane, index) => {
      for (const call of lane.calls) places[call] = { lane: index, threadShare: lane.threads / threads };
    });
  }
  return places;
}

/** A product of two BF16 operands runs at the BF16 peak; one float32 operand makes it a float32 product. */
function precisionOf(call: ProgramCall, dtypeOf: (buffer: number) => string): CallProfile['precision'] {
  const operands = call.inputs.slice(0, 2).flatMap((input) => (input === null ? [] : [dtypeOf(input)]));
  return operands.length > 0 && operands.every((dtype) => dtype === 'bfloat16') ? 'bfloat16' : 'float32';
}

/** Least time of a call on this machine, in seconds. */
export function rooflineSeconds(
  {
    flops,
    bytes,
    precision,
    threadShare,
  }: Pick<CallProfile, 'flops' | 'bytes' | 'precision' | 'threadShare'>,
  machine: Pick<Machine, 'peaks' | 'bandwidth'>,
): number {
  const { read, readWrite } = machine.bandwidth;
  const computing = flops / peakAt(machine, precision);
  return Math.max(computing, bytes / Math.max(read, readWrite)) / threadShare;
}

/** Rows by name, the slowest first. */
export function group(
  calls: readonly CallProfile[],
  machine: Pick<Machine, 'peaks' | 'bandwidth'>,
  nameOf: (call: CallProfile) => string,
): ProfileRow[] {
  const groups = new Map<string, CallProfile[]>();
  for (const call of calls) {
    const name = nameOf(call);
    const known = groups.get(name);
    if (known) known.push(call);
    else groups.set(name, [call]);
  }
  const total = sum(calls.map(({ seconds }) => seconds));
  return [...groups]
    .map(([name, members]) => {
      const seconds = sum(members.map((call) => call.seconds));
      const least = sum(members.map((call) => rooflineSeconds(call, machine)));
      return {
        name,
        calls: members.length,
        seconds,
        share: seconds / total,
        flopsPerSecond: sum(members.map(({ flops }) => flops)) / seconds,
        bytesPerSecond: sum(members.map(({ bytes }) => bytes)) / seconds,
        overRoofline: least > 0 ? seconds / least : null,
      };
    })
    .sort((a, b) => b.seconds - a.seconds);
}
