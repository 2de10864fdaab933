/** What the command line says to somebody who mistypes, and that each mistake is one message and an exit code. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
let folder = '';

beforeAll(() => {
  if (!existsSync(main)) throw new Error('dist/ is missing; first: npm run build');
  folder = mkdtempSync(join(tmpdir(), 'braid-cli-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function braid(...args: string[]) {
  return spawnSync(process.execPath, [main, ...args], { cwd: folder, encoding: 'utf8' });
}

const mistakes: [string[], RegExp][] = [
  [['planet'], /unknown command 'planet'\n\(Did you mean plan\?\)\n'braid --help'/],
  [['plan'], /missing required argument 'model'\n'braid plan --help'/],
  [['plan', 'flowhn-fac-nano', '--length', '8'], /unknown option '--length'\n'braid plan --help'/],
  [['plan', 'flowhn-fac-135'], /neither a preset nor a configuration file\. Did you mean 'flowhn-fac-135m'/],
  [['plan', 'missing.yaml'], /'missing\.yaml' does not exist/],
  [['plan', 'llama-nano', 'attention.heads=2'], /write 'model\.attention\.heads=2'/],
  [['plan', 'llama-nano', 'model.attention.heads=7'], /heads .*is 7, which does not divide the width 128/],
  [['plan', 'llama-nano', 'train.lenght=8'], /no 'lenght' here\. Did you mean 'length'/],
  [['plan', 'flowhn-fac-nano', 'model.routing.ratio=0'], /ratio .*must be greater than 0; given 0/],
  [['plan', 'flowhn-fac-nano', 'model.routing.ratio=1'], /ratio .*must be less than 1; given 1/],
  [['plan', 'flowhn-ae-nano', 'model.routing.ratio=0.4'], /the split of 'ae' is part of its rule/],
  // Were --text to swallow what follows it, the override would be a missing text.
  [['train', 'llama-nano', '--text', 'missing.txt', 'train.steps=1'], /'missing\.txt' does not exist/],
  [['train', 'llama-nano', '--text', 'missing.txt', 'train.stpes=1'], /no 'stpes' here/],
  [['train', '--resume', 'nowhere'], /'nowhere' is not the folder of a run/],
  [['generate', 'nowhere', '--tokens', 'many'], /'many' is invalid\. It must be a number/],
  [['generate', 'nowhere', '--tokens', '-3'], /'-3' is invalid\. It must be a whole number of 0 or more/],
  [['generate', 'nowhere', '--top-p', '2'], /top-p is 2; it must be above 0 and at most 1/],
  [['bench', 'lanes', '--length', '8'], /unknown option '--length'.*\n?.*\n'braid bench lanes --help'/],
  [['bench', 'llama-nano', '--steps', '0'], /'0' is invalid\. It must be a whole number of at least 1/],
  [['presets', '--size', '7c'], /no size '7c'\. Did you mean '[78]b'.*Known: .*nano/],
  [['presets', '--family', 'hymbo'], /no family 'hymbo'\. Did you mean 'hymba'/],
];

describe('a mistake', () => {
  it.each(mistakes)('%j is one clear message', (args, message) => {
    const { status, stdout, stderr } = braid(...args);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/unexpected error|\n\s+at /);
    expect(stdout).toBe('');
    expect(status).toBe(1);
    expect(existsSync(join(folder, 'runs'))).toBe(false);
  });
});

describe('a reader that goes away', () => {
  it('ends the command without an error', async () => {
    const child = spawn(process.execPath, [main, 'presets', '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let errors = '';
    child.stderr.on('data', (text: Buffer) => {
      errors += text.toString();
    });
    const status = await new Promise((done) => child.on('close', done));
    expect(errors).toBe('');
    expect(status).toBe(0);
  });
});
