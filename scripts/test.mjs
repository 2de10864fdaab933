/**
 * Runs everything that `npm test` promises: format and lint, types, house rules, the native tests, and the TypeScript
 * suite. Prints what was skipped and why, and ends with a line `N passed, N failed`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bin = (name) => path.join(root, 'node_modules', name);
const node = process.execPath;
let passed = 0;
let failed = 0;
let skipped = 0;

const sanitized = process.env.BRAID_SANITIZE === '1' ? ['Address', 'Thread'] : [];
const clang = sanitized.length > 0 && spawnSync('clang++', ['--version']).status === 0;
const nativeTests = (...flags) => ['scripts/build-native.mjs', '--test', ...flags];
// What takes long and what uses one processor beside each other.
await inTurn([
  ['types', [bin('typescript/bin/tsc'), '--noEmit', '-p', 'tsconfig.json']],
  ['native tests', nativeTests()],
  ...sanitized.map((name) => [
    `native tests, ${name}Sanitizer`,
    nativeTests('--sanitize', name.toLowerCase()),
  ]),
  ...(clang ? [['native tests, clang++', nativeTests(), { CXX: 'clang++', CXXFLAGS: '-O1' }]] : []),
  ['format and lint', [bin('@biomejs/biome/bin/biome'), 'check', '.']],
  ['house rules', ['scripts/check-layers.mjs']],
]);
if (!clang) {
  skipped++;
  const why = sanitized.length > 0 ? 'clang++ is not found' : 'with BRAID_SANITIZE=1, where it is found';
  process.stdout.write(`skipped native tests, clang++ (${why})\n`);
}
suite();

const note = skipped > 0 ? `, ${skipped} skipped` : '';
process.stdout.write(`\n${passed} passed, ${failed} failed${note}\n`);
process.exit(failed === 0 ? 0 : 1);

/** Two at a time; what each printed is shown when it failed. */
async function inTurn(checks) {
  const worker = async () => {
    for (let next = checks.shift(); next; next = checks.shift()) await check(...next);
  };
  await Promise.all([worker(), worker()]);
}

async function check(title, args, env = {}) {
  const begin = performance.now();
  const child = spawn(node, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const [status] = await once(child, 'close');
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  if (status === 0) {
    passed++;
    process.stdout.write(`ok      ${title} (${seconds} s)\n`);
  } else {
    failed++;
    process.stdout.write(`FAILED  ${title} (${seconds} s)\n${output}\n`);
  }
}

function suite() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'braid-test-'));
  const file = path.join(folder, 'results.json');
  const result = spawnSync(
    node,
    [bin('vitest/vitest.mjs'), 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  if (existsSync(file)) {
    const results = JSON.parse(readFileSync(file, 'utf8'));
    passed += results.numPassedTests;
    failed += results.numFailedTests;
    skipped += results.numPendingTests;
    for (const suiteResult of results.testResults) {
      if (suiteResult.status === 'failed' && suiteResult.assertionResults.length === 0) failed++;
    }
  }
  // A run that broke before it wrote its results must not pass.
  if (result.status !== 0 && failed === 0) failed++;
  rmSync(folder, { recursive: true, force: true });
}
