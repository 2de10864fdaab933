/** What the measuring commands have in common: options, and where results go. */
import type { Command } from 'commander';
import type { Effort } from '../../bench/machine.ts';
import type { BenchKind, BenchReport } from '../../bench/measurement.ts';
import { describeSubject, figuresOf } from '../../bench/measurement.ts';
import { OneDnn } from '../../bench/onednn.ts';
import type { ProfileRecorder } from '../../bench/profile.ts';
import { isaOf, openExecutor } from '../../bench/session.ts';
import { chromeTrace } from '../../bench/trace.ts';
import { BraidError } from '../../graph/index.ts';
import { writeFileAtomically } from '../../models/index.ts';
import { benchPage } from '../../report/benchPage.ts';
import {
  measurementGroups,
  measurementNote,
  measurementTable,
  profileColumns,
  profileNote,
  profileRows,
} from '../../report/benchTable.ts';
import { textTable } from '../../report/table.ts';
import type { Executor } from '../../runtime/index.ts';
import { describeEnvironment } from '../../train/index.ts';
import { count } from '../arguments.ts';
import { createProgress } from '../progress.ts';
import { readSettings } from '../settings.ts';

export interface CommonOptions {
  readonly rounds: number;
  readonly set: string[];
  readonly quick?: boolean;
  readonly json?: boolean;
  readonly out?: string;
  readonly html?: string;
}

export function addCommonOptions(command: Command, rounds = 3): Command {
  return command
    .option('--rounds <n>', 'turns in which everything is measured a little', count, rounds)
    .option('--set <overrides...>', 'values of the configuration, as path.to.key=value', [])
    .option('--quick', 'measure the peaks roughly: to try a command, not to quote it')
    .option('--json', 'print JSON')
    .option('--out <file>', 'write the JSON to a file, for bench compare')
    .option('--html <file>', 'write a page with plots');
}

export interface ProfileOptions {
  readonly profile?: boolean;
  readonly trace?: string;
}

export function addProfileOptions(command: Command): Command {
  return command
    .option('--profile', 'time every call: by operation and by layer')
    .option('--trace <file>', 'write the calls of a run in the trace format of Chrome (with --profile)');
}

/** What a call measures, beside the subjects themselves. */
export interface Call {
  readonly kind: BenchKind;
  readonly options: CommonOptions;
  readonly executor: Executor;
  /** Measured samples of each subject over all rounds: there are no more rounds than these. */
  readonly samples: number;
  /** What progress counts to. */
  readonly total: number;
  /** oneDNN beside Braid: its products count for peaks and probes. Default: not in a quick run, which compiles nothing. */
  readonly besidePeer?: boolean;
}

/** What every benchmark takes from its call. */
export interface Surroundings {
  readonly executor: Executor;
  readonly rounds: number;
  readonly effort: Effort;
  readonly peer: OneDnn | undefined;
  /** Why there is no peer; empty where there is one. */
  readonly noPeer: string;
  /** One more of `total` is done. */
  readonly onDone: (name?: string | number) => void;
}

/** Measures with a progress line, and with oneDNN where it is installed; then writes and prints the report. */
export async function measure<Result extends Pick<BenchReport, 'machine' | 'measurements' | 'lanes'>>(
  { kind, options, executor, samples, total, besidePeer = !options.quick }: Call,
  run: (surroundings: Surroundings) => Promise<Result>,
): Promise<Result> {
  const opened = besidePeer
    ? await OneDnn.open(executor.threads)
    : { reason: 'a quick run does not look for it' };
  const peer = opened instanceof OneDnn ? opened : undefined;
  const progress = createProgress(`bench ${kind}`);
  let done = 0;
  try {
    const result = await run({
      executor,
      rounds: Math.min(options.rounds, samples),
      effort: options.quick ? 'quick' : 'full',
      peer,
      noPeer: opened instanceof OneDnn ? '' : opened.reason,
      onDone: (name) => progress.update(++done, total, String(name ?? '')),
    });
    progress.finish();
    await publish(makeReport(kind, result, executor), options);
    return result;
  } finally {
    peer?.close();
  }
}

/** The configurations of models, and the executor that the first of them asks for. */
export function openModels(models: readonly string[], { set }: CommonOptions, steps = 1000) {
  const configs = models.map((source) => readSettings(source, { overrides: set, steps }));
  return { configs, ...openExecutor(configs[0].train) };
}

/** For what was chosen before anything is measured. */
export function tell(message: string): void {
  process.stderr.write(`${message}\n`);
}

/** A report of what was measured, with everything around it. */
function makeReport(
  kind: BenchKind,
  { machine, measurements, lanes }: Pick<BenchReport, 'machine' | 'measurements' | 'lanes'>,
  executor: Executor,
): BenchReport {
  const precisions = [...new Set(measurements.map(({ precision }) => precision))].join(', ');
  return {
    version: 1,
    kind,
    created: new Date().toISOString(),
    environment: describeEnvironment(executor, precisions, isaOf(executor)),
    machine,
    measurements: measurements.map((one) => ({ ...one, figures: figuresOf(one, machine) })),
    ...(lanes ? { lanes } : {}),
  };
}

/** Writes the files that were asked for, and prints the table or the JSON. */
async function publish(report: BenchReport, options: CommonOptions): Promise<void> {
  const json = `${JSON.stringify(report, null, 2)}\n`;
  if (options.out !== undefined) await write(options.out, json);
  if (options.html !== undefined) await write(options.html, benchPage(report));
  if (options.json) {
    process.stdout.write(json);
    return;
  }
  for (const alike of measurementGroups(report.measurements)) {
    const { columns, rows } = measurementTable(report, alike);
    process.stdout.write(`${textTable(columns, rows)}\n\n`);
  }
  process.stdout.write(`${measurementNote(report)}\n`);
  for (const { subject, profile } of report.measurements) {
    if (!profile) continue;
    const table = textTable(profileColumns, profileRows(profile.operations));
    process.stdout.write(`\n${describeSubject(subject)}\n${table}\n${profileNote(profile)}\n`);
    process.stdout.write(`\nBy layer\n${textTable(profileColumns, profileRows(profile.layers))}\n`);
  }
}

/** The trace of one recorder; of several, the name of each is put before the ending. */
export async function writeTraces(path: string, recorders: readonly ProfileRecorder[]): Promise<void> {
  for (const [index, recorder] of recorders.entries()) {
    const dot = path.lastIndexOf('.');
    const numbered = dot > 0 ? `${path.slice(0, dot)}-${index}${path.slice(dot)}` : `${path}-${index}`;
    await write(
      recorders.length === 1 ? path : numbered,
      chromeTrace(recorder.program.name, recorder.trace()),
    );
  }
}

export function requireProfile({ profile, trace }: ProfileOptions): void {
  if (trace === undefined || profile) return;
  throw new BraidError('usage', '--trace writes what --profile measures; give --profile too.');
}

function write(path: string, text: string): Promise<void> {
  return writeFileAtomically(path, (file) => file.write(Buffer.from(text)));
}
