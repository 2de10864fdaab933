/** What the measuring commands have in common: options, and where results go. */
import type { Command } from 'commander';
import type { BenchReport } from '../../bench/measurement.ts';
import { describeSubject, figuresOf } from '../../bench/measurement.ts';
import { OneDnn } from '../../bench/onednn.ts';
import type { ProfileRecorder } from '../../bench/profile.ts';
import { isaOf } from '../../bench/session.ts';
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

export function effortOf({ quick }: CommonOptions): 'full' | 'quick' {
  return quick ? 'quick' : 'full';
}

/**
 * Runs with oneDNN, whose products count for the peak where it is installed: the peak is then the best that anybody reaches.
 * Not in a quick run, which compiles nothing.
 */
export async function withPeer<T>(
  options: CommonOptions,
  executor: Executor,
  use: (peer: OneDnn | undefined, reason: string) => Promise<T>,
): Promise<T> {
  const opened = options.quick
    ? { reason: 'a quick run does not look for it' }
    : await OneDnn.open(executor.threads);
  if (!(opened instanceof OneDnn)) return use(undefined, opened.reason);
  try {
    return await use(opened, '');
  } finally {
    opened.close();
  }
}

/** For what was chosen before anything is measured. */
export function tell(message: string): void {
  process.stderr.write(`${message}\n`);
}

/** A report of what was measured, with everything around it. */
export function makeReport(
  kind: BenchReport['kind'],
  { machine, measurements }: Pick<BenchReport, 'machine' | 'measurements'>,
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
  };
}

/** Writes the files that were asked for, and prints the table or the JSON. */
export async function publish(report: BenchReport, options: CommonOptions): Promise<void> {
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
