/** A text that is written in two commands, with the state saved between them, is the text of one command. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
let folder = '';

function braid(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...args], { cwd: folder, encoding: 'utf8' });
}

beforeAll(() => {
  if (!existsSync(main)) throw new Error('dist/ is missing; build the package first: npm run build');
  folder = mkdtempSync(join(tmpdir(), 'braid-state-'));
  writeFileSync(
    join(folder, 'book.txt'),
    'It was the best of times, it was the worst of times. '.repeat(200),
  );
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const small = ['train.batch=1', 'train.length=32', 'train.validateRows=2'];

function train(preset: string): void {
  const { status, stderr } = braid('train', preset, '--text', 'book.txt', '--steps', '1', ...small);
  expect(status, stderr).toBe(0);
}

function generate(preset: string, ...args: string[]): string {
  const { status, stdout, stderr } = braid('generate', `runs/${preset}`, ...args);
  expect(status, stderr).toBe(0);
  return stdout.replace(/\n$/, '');
}

describe('a saved state', () => {
  it('goes on as one command would have', () => {
    const preset = 'hymba-nano';
    train(preset);
    const whole = generate(preset, '--prompt', 'It was', '--tokens', '20');
    const first = generate(preset, '--prompt', 'It was', '--tokens', '8', '--save-state', 'a.safetensors');
    expect(first + generate(preset, '--load-state', 'a.safetensors', '--tokens', '12')).toBe(whole);
    const read = generate(preset, '--prompt', 'It', '--tokens', '0', '--save-state', 'b.safetensors');
    const rest = generate(preset, '--load-state', 'b.safetensors', '--prompt', ' was', '--tokens', '20');
    expect(read + rest).toBe(whole);
  });

  it('is refused by another run', () => {
    train('llama-nano');
    const { status, stderr } = braid('generate', 'runs/llama-nano', '--load-state', 'a.safetensors');
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/a\.safetensors' was made with another model/);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});
