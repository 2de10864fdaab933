/**
 * Runs that real things happen to: `kill -9`, Ctrl-C, a disk that takes no more. Uses the built command, as people do.
 */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasAddon, isBuilt, type Started, startBraid, until } from './command.ts';

const KILLS = 20;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-interruptions-'));
  const line = (index: number): string => `${index} and ${index} make ${2 * index}.\n`;
  writeFileSync(join(folder, 'text'), Array.from({ length: 2000 }, (_, index) => line(index)).join(''));
  const model = {
    pattern: '(attention+mlp | mamba1+mlp)*2',
    routing: { strategy: 'chunks', chunk: 4 },
    width: 16,
    vocabulary: 257,
    attention: { heads: 2 },
    mamba1: { state: 4 },
    mlp: { width: 24 },
  };
  const train = {
    length: 16,
    batch: 1,
    steps: 100_000,
    threads: 1,
    executor: hasAddon ? 'native' : 'reference',
    precision: 'float32',
    checkpointEvery: 1,
    validateRows: 4,
  };
  const data = { text: [join(folder, 'text')] };
  writeFileSync(join(folder, 'run.yaml'), JSON.stringify({ model, data, train }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function train(...args: string[]): Started {
  return startBraid(['train', ...args]);
}

const run = (name: string): string => join(folder, name);

/** The newest step whose checkpoint is complete. */
function newest(name: string): number {
  const checkpoints = join(run(name), 'checkpoints');
  if (!existsSync(checkpoints)) return 0;
  const complete = readdirSync(checkpoints).filter((step) =>
    existsSync(join(checkpoints, step, 'state.json')),
  );
  return Math.max(0, ...complete.map((step) => Number(step.slice('step-'.length))));
}

function fileOf(name: string, step: number, file: string): string {
  return join(run(name), 'checkpoints', `step-${String(step).padStart(8, '0')}`, file);
}

function losses(name: string): number[] {
  const lines = readFileSync(join(run(name), 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line, index) => {
    const { step, loss } = JSON.parse(line) as { step: number; loss: number };
    expect(step).toBe(index + 1);
    return loss;
  });
}

describe.skipIf(!isBuilt)('a run', { timeout: 240_000 }, () => {
  it(`killed ${KILLS} times at random moments ends where one left alone does, bit for bit`, async () => {
    const first = train(run('run.yaml'), '--out', run('killed'));
    await until(() => newest('killed') > 0);
    first.child.kill('SIGKILL');
    await first.ended;
    for (let kill = 1; kill < KILLS; kill++) {
      const before = newest('killed');
      const { child, ended } = train('--resume', run('killed'));
      await until(() => newest('killed') > before || child.exitCode !== null);
      await wait(Math.random() * 100);
      child.kill('SIGKILL');
      const { signal, errors } = await ended;
      expect(signal, errors).toBe('SIGKILL');
      expect(errors).not.toMatch(/cannot be used/);
    }
    const last = newest('killed') + 1;
    const final = await train('--resume', run('killed'), '--until', String(last)).ended;
    expect(final.code, final.errors).toBe(0);

    const alone = ['--out', run('alone'), '--until', String(last), 'train.checkpointEvery=0'];
    expect((await train(run('run.yaml'), ...alone).ended).code).toBe(0);
    expect(losses('killed')).toEqual(losses('alone'));
    expect(losses('alone')).toHaveLength(last);
    for (const file of ['parameters.safetensors', 'optimizer.safetensors']) {
      expect(readFileSync(fileOf('killed', last, file))).toEqual(readFileSync(fileOf('alone', last, file)));
    }
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('saves and stops on %s', async (signal) => {
    const { child, ended } = train(run('run.yaml'), '--out', run(signal), 'train.checkpointEvery=0');
    const metrics = join(run(signal), 'metrics.jsonl');
    await until(() => existsSync(metrics) && readFileSync(metrics, 'utf8').split('\n').length > 3);
    child.kill(signal);
    const { code, errors } = await ended;
    expect(code).not.toBe(0);
    expect(errors).toMatch(/--resume/);
    expect(newest(signal)).toBe(losses(signal).length);
  });

  it.skipIf(!hasAddon)(
    'leaves at once on a second Ctrl-C, in the middle of a long step, without saving',
    async () => {
      const long = ['train.batch=512', 'train.length=512', 'train.checkpointEvery=0'];
      const { child, errors, ended } = train(run('run.yaml'), '--out', run('twice'), ...long);
      await until(() => existsSync(join(run('twice'), 'environment.json')));
      await wait(1000);
      child.kill('SIGINT');
      await until(() => /Once more leaves at once/.test(errors()));
      const begin = performance.now();
      child.kill('SIGINT');
      const { code, signal } = await ended;
      const seconds = (performance.now() - begin) / 1000;
      expect([code, signal]).toEqual([null, 'SIGINT']);
      expect(seconds).toBeLessThan(1);
      expect(newest('twice')).toBe(0);
      // What the process left behind is in nobody's way.
      const again = train('--resume', run('twice'));
      await until(() => existsSync(join(run('twice'), 'train.lock')) && again.child.exitCode === null);
      again.child.kill('SIGKILL');
      expect((await again.ended).errors).not.toMatch(/at work/);
    },
  );

  it('is trained by one process at a time', async () => {
    const { child, ended } = train(run('run.yaml'), '--out', run('locked'));
    await until(() => newest('locked') > 0);
    const second = await train('--resume', run('locked')).ended;
    expect(second.code).toBe(1);
    expect(second.errors).toMatch(/Another training \(process \d+\) is at work in .*locked'.*train\.lock/);
    child.kill('SIGKILL');
    await ended;
    const step = newest('locked') + 1;
    const later = await train('--resume', run('locked'), '--until', String(step)).ended;
    expect(later.code, later.errors).toBe(0);
    expect(losses('locked')).toHaveLength(step);
    expect(existsSync(join(run('locked'), 'train.lock'))).toBe(false);
  });

  it('that runs out of room says so, loses nothing and goes on later', async () => {
    expect((await train(run('run.yaml'), '--out', run('full'), '--until', '3').ended).code).toBe(0);
    const { code, errors } = await startBraid(['train', '--resume', run('full')], { fileLimit: 40 }).ended;
    expect(code).toBe(1);
    expect(errors).toMatch(/Cannot write '.*checkpoints.*file-size limit/);
    expect(errors).not.toMatch(/\n\s+at /);
    expect(newest('full')).toBe(3);
    const later = await train('--resume', run('full'), '--until', '5').ended;
    expect(later.code, later.errors).toBe(0);
    expect(losses('full')).toHaveLength(5);
  });

  it('with a truncated checkpoint goes on from the one before', async () => {
    expect((await train(run('run.yaml'), '--out', run('torn'), '--until', '3').ended).code).toBe(0);
    truncateSync(fileOf('torn', 3, 'parameters.safetensors'), 1000);
    const { code, errors } = await train('--resume', run('torn'), '--until', '4').ended;
    expect(code, errors).toBe(0);
    expect(errors).toMatch(/step 3 cannot be used.*Going on from step 2/);
    expect(losses('torn')).toHaveLength(4);
  });

  it.each([
    ['a folder that cannot be written', () => ['--out', '/proc/braid'], /Cannot write '\/proc\/braid/],
    ['a missing text', () => ['--text', run('nowhere')], /nowhere' does not exist/],
    ['an empty text', () => ['--text', '/dev/null'], /'\/dev\/null' is empty/],
    ['a sequence longer than the text', () => ['train.length=1000000'], /fewer than one sequence of 1000000/],
    ['an unknown key', () => ['train.lenght=5'], /lenght.*train\.length|'length'/],
  ])('refuses %s with one message', async (name, args, message) => {
    const out = name.startsWith('a folder') ? [] : ['--out', run(name)];
    const { code, errors } = await train(run('run.yaml'), ...out, ...args()).ended;
    expect(code).toBe(1);
    expect(errors).toMatch(message);
    expect(errors).not.toMatch(/\n\s+at /);
  });
});
