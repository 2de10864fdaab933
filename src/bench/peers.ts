/**
 * The same work in the systems people use today, each in a process of its own, in turn with Braid. A peer is a command that
 * prints one JSON object at the end; one that cannot run says why and is left out.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BraidError } from '../graph/index.ts';
import type { Executor } from '../runtime/index.ts';
import type { Effort, Machine } from './machine.ts';
import type { Measurement, Subject } from './measurement.ts';
import { releaseMemory } from './memory.ts';
import type { OneDnn } from './onednn.ts';
import { joinSamples, type Probes, type Samples } from './probes.ts';
import { inRounds, shareSamples } from './rounds.ts';

/** The folder of the peers; not part of the installed package. */
export const peerFolder = fileURLToPath(new URL('../../bench/peers/', import.meta.url));

export interface PeerCommand {
  /** What it does, in the words of Braid's own measurement of the same work. */
  readonly subject: Subject;
  /** Name of the system; its version comes from its answer. */
  readonly system: string;
  readonly precision: string;
  readonly threads: number;
  readonly command: string;
  /** Arguments; `{samples}` stands for the number of measured samples of a round. */
  readonly arguments: readonly string[];
}

/** Braid's own side of the same work. */
export interface OwnWork {
  readonly subject: Subject;
  measure(
    samples: number,
    probes: Probes,
  ): Promise<Pick<Measurement, 'precision' | 'seconds' | 'probes' | 'work'>>;
}

export interface PeerBench {
  readonly own: readonly OwnWork[];
  readonly peers: readonly PeerCommand[];
  readonly executor: Executor;
  readonly samples: number;
  readonly rounds: number;
  readonly effort?: Effort | undefined;
  readonly peer?: OneDnn | undefined;
  readonly onVisit?: (name: string) => void;
  readonly signal?: AbortSignal;
}

export interface PeerBenchResult {
  readonly machine: Machine;
  readonly measurements: readonly Measurement[];
  /** Peers that could not run, and why. */
  readonly missing: readonly {
    readonly system: string;
    readonly subject: Subject;
    readonly reason: string;
  }[];
}

interface SystemSamples extends Samples {
  readonly name: string;
  readonly precision: string;
  readonly work?: Measurement['work'];
  readonly reason?: string;
}

export async function benchPeers(bench: PeerBench): Promise<PeerBenchResult> {
  const { own, peers, executor, rounds, effort, peer } = bench;
  const shares = shareSamples(bench.samples, rounds);
  const broken = new Map<PeerCommand, string>();
  const { machine, results } = await inRounds<SystemSamples>({ rounds, executor, effort, peer }, [
    ...own.map(({ measure }) => async (round: number, probes: Probes) => {
      requireGoingOn(bench);
      bench.onVisit?.('braid');
      return { name: 'braid', ...(await measure(shares[round], probes)) };
    }),
    ...peers.map((command) => async (round: number) => {
      requireGoingOn(bench);
      bench.onVisit?.(command.system);
      // Memory of Braid's own turn must not push the peer into what is left.
      await releaseMemory();
      const reason = broken.get(command);
      const { system: name, precision } = command;
      if (reason !== undefined) return { name, precision, seconds: [], reason };
      const answer = await runPeer(command, shares[round], bench.signal);
      if (answer.reason !== undefined) broken.set(command, answer.reason);
      return { name, precision, ...answer };
    }),
  ]);
  const sides = [...own.map(({ subject }) => ({ subject })), ...peers];
  const workOf = (subject: Subject): Measurement['work'] | undefined =>
    results[own.findIndex((one) => JSON.stringify(one.subject) === JSON.stringify(subject))]?.[0]?.work;
  const measurements = sides.flatMap(({ subject }, index): Measurement[] => {
    const samples = joinSamples(results[index]);
    const [{ name, precision }] = results[index];
    const work = workOf(subject);
    if (samples.seconds.length === 0 || !work) return [];
    const threads = peers[index - own.length]?.threads ?? executor.threads;
    return [{ subject: { ...subject, system: name }, precision, threads, executor: name, ...samples, work }];
  });
  const missing = [...broken].map(([{ system, subject }, reason]) => ({ system, subject, reason }));
  return { machine, measurements, missing };
}

function requireGoingOn({ signal }: PeerBench): void {
  if (!signal?.aborted) return;
  throw new BraidError('interrupted', 'Stopped before everything was measured; nothing was written.');
}

/** What a peer prints: seconds of each sample, and the version of the system. */
interface Answer {
  readonly seconds: readonly number[];
  readonly version?: string;
}

type PeerSamples = Samples & { readonly name?: string; readonly reason?: string };

export async function runPeer(
  { command, arguments: given, system }: Pick<PeerCommand, 'command' | 'arguments' | 'system'>,
  samples: number,
  signal?: AbortSignal,
): Promise<PeerSamples> {
  const filled = given.map((argument) => argument.replace('{samples}', String(samples)));
  const { output, errors, status } = await collect(command, filled, signal);
  const last = (text: string): string => text.trim().split('\n').at(-1) ?? '';
  if (status !== 0) return { seconds: [], reason: last(errors) || `it ended with status ${status}` };
  try {
    const { seconds, version } = JSON.parse(last(output)) as Answer;
    if (!Array.isArray(seconds) || !seconds.every((value) => value > 0)) throw new SyntaxError();
    return { seconds, name: version === undefined ? system : `${system} ${version}` };
  } catch {
    return {
      seconds: [],
      reason: `it did not print a JSON object with 'seconds': ${last(output).slice(0, 200)}`,
    };
  }
}

function collect(
  command: string,
  given: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ output: string; errors: string; status: number }> {
  return new Promise((resolve) => {
    let output = '';
    let errors = '';
    const child = spawn(command, given, { cwd: peerFolder, ...(signal ? { signal } : {}) });
    child.stdout.on('data', (text: Buffer) => {
      output += text.toString();
    });
    child.stderr.on('data', (text: Buffer) => {
      errors += text.toString();
    });
    child.on('error', (error) => resolve({ output, errors: `${command}: ${error.message}`, status: 1 }));
    child.on('close', (status) => resolve({ output, errors, status: status ?? 1 }));
  });
}
