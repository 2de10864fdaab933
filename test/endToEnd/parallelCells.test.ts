/** Cells of a comparison in several processes at a time, by the built command, with what happens to processes. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasAddon, isBuilt, type Started, startBraid, until } from './command.ts';

const linux = process.platform === 'linux';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-parallel-'));
  const line = (index: number): string => `${index} and ${index} make ${2 * index}.\n`.repeat(20);
  writeFileSync(join(folder, 'text'), Array.from({ length: 60 }, (_, index) => line(index)).join('\f'));
  const model = { vocabulary: 257, width: 16, attention: { heads: 2 }, mlp: { width: 24 } };
  const models = {
    one: { ...model, pattern: 'attention+mlp' },
    two: { ...model, pattern: 'attention+mlp*2' },
  };
  for (const [name, one] of Object.entries(models)) {
    writeFileSync(join(folder, `${name}.yaml`), JSON.stringify({ name, ...one }));
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function compare(models: readonly string[], out: string, steps: number, ...more: string[]): Started {
  const train = {
    ...{ steps, length: 16, batch: 1, threads: 1, checkpointEvery: 0 },
    executor: hasAddon ? 'native' : 'reference',
    // The peak that MFU is of takes many times as long to measure in float32.
    precision: hasAddon ? 'bfloat16' : 'float32',
  };
  const settings = Object.entries(train).map(([key, value]) => `train.${key}=${value}`);
  const files = models.map((name) => `${name}.yaml`);
  const args = ['compare', ...files, '--seeds', '1,2', '--text', 'text', '--out', out, '--json', ...more];
  return startBraid([...args, '--set', ...settings], { cwd: folder });
}

interface Table {
  readonly shared: boolean;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly pairs: unknown;
}

/** What must not depend on how many train at a time. */
function figures(text: string): unknown {
  const { rows, pairs } = JSON.parse(text) as Table;
  const kept = [
    'name',
    'steps',
    'trainingLoss',
    'bitsPerByte',
    'seeds',
    'letters',
    'contexts',
    'validations',
  ];
  const timeless = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value, (key, part: unknown) => (key === 'seconds' ? undefined : part)));
  return { rows: rows.map((row) => kept.map((key) => timeless(row[key]))), pairs };
}

/** Steps that the runs of a comparison have written down. */
function stepsDone(out: string): number[] {
  const path = join(folder, out);
  const runs = existsSync(path) ? readdirSync(path) : [];
  return runs.flatMap((run) => {
    const metrics = join(path, run, 'metrics.jsonl');
    return existsSync(metrics) ? [readFileSync(metrics, 'utf8').split('\n').length - 1] : [];
  });
}

const childrenOf = ({ pid }: ChildProcess): number[] =>
  execFileSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
    .trim()
    .split(/\s+/)
    .map(Number);

const both = ['one', 'two'];

describe.skipIf(!isBuilt || availableParallelism() < 2)(
  'cells at the same time',
  { timeout: 240_000 },
  () => {
    it('give the same table as one after the other, stopped and gone on with or not', async () => {
      const validating = ['train.validateEvery=20', 'train.validateRows=4'];
      const alone = await compare(both, 'alone', 60, '--jobs', '1', '--set', ...validating).ended;
      expect(alone.code, alone.errors).toBe(0);
      expect((JSON.parse(alone.output) as Table).shared).toBe(false);

      const { child, ended } = compare(both, 'together', 60, '--jobs', '2', '--set', ...validating);
      await until(() => stepsDone('together').filter((steps) => steps > 2).length >= 2);
      child.kill('SIGINT');
      const stopped = await ended;
      expect(stopped.code, stopped.errors).toBe(130);
      expect(stopped.errors).toMatch(/2 at a time with 1 thread each/);
      expect(stopped.errors).toMatch(/The same command goes on from there/);

      const together = await compare(both, 'together', 60, '--jobs', '2', '--set', ...validating).ended;
      expect(together.code, together.errors).toBe(0);
      expect((JSON.parse(together.output) as Table).shared).toBe(true);
      expect(figures(together.output)).toEqual(figures(alone.output));
      const row = (JSON.parse(together.output) as Table).rows[0] as { validations: { step: number }[] };
      expect(row.validations.map(({ step }) => step)).toEqual([20, 40, 60]);
    });

    it('all stop when one fails, and tell why', async () => {
      // A run of another length is in the way of one cell.
      expect((await compare(['one'], 'failing', 2).ended).code).toBe(0);
      const { code, errors } = await compare(['two', 'one'], 'failing', 100_000, '--jobs', '2').ended;
      expect(code).toBe(1);
      expect(errors).toMatch(/'failing\/one-seed-1' holds a run with other settings/);
      expect(errors).not.toMatch(/\n\s+at /);
      // The other one has saved where it stood.
      const checkpoints = join(folder, 'failing', 'two-seed-1', 'checkpoints');
      expect(readdirSync(checkpoints)).toHaveLength(1);
    });

    it.runIf(linux)('tell which one is lost when its process dies, and go on later', async () => {
      const { child, ended } = compare(both, 'killed', 100_000, '--jobs', '2');
      await until(() => stepsDone('killed').filter((steps) => steps > 2).length >= 2);
      process.kill(childrenOf(child)[0], 'SIGKILL');
      const { code, errors } = await ended;
      expect(code).toBe(1);
      expect(errors).toMatch(/'(one|two)-seed-1': its process ended unasked \(SIGKILL\).*--jobs/);
    });

    it.runIf(linux)('leave no process behind when the one that leads them is killed', async () => {
      const { child, ended } = compare(both, 'orphans', 100_000, '--jobs', '2');
      await until(() => stepsDone('orphans').filter((steps) => steps > 2).length >= 2);
      const children = childrenOf(child);
      expect(children).toHaveLength(2);
      child.kill('SIGKILL');
      await ended;
      await until(() => children.every((pid) => !existsSync(`/proc/${pid}`)));
    });

    it('refuse more than the machine has, and a number that is none', async () => {
      mkdirSync(join(folder, 'most'));
      const most = await compare(['one'], 'most', 2, '--jobs', '500').ended;
      expect(most.code, most.errors).toBe(0);
      expect(most.errors).toMatch(/Runs at a time: \d+ instead of 500, for /);
      const none = await compare(['one'], 'none', 2, '--jobs', 'many').ended;
      expect(none.code).toBe(1);
      expect(none.errors).toMatch(/--jobs <n>.*must be a number/);
    });
  },
);
