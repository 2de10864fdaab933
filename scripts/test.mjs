/**
 * Runs everything that `npm test` promises: format and lint, types, house rules, the native tests, and the TypeScript
 * suite. Prints what was skipped and why, and ends with a line `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
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

check('format and lint', node, [bin('@biomejs/biome/bin/biome'), 'check', '.']);
check('types', node, [bin('typescript/bin/tsc'), '--noEmit', '-p', 'tsconfig.json']);
check('house rules', node, ['scripts/check-layers.mjs']);
check('native tests', node, ['scripts/build-native.mjs', '--test']);
if (process.env.BRAID_SANITIZE === '1') {
  check('native tests, AddressSanitizer', node, [
    'scripts/build-native.mjs',
    '--test',
    '--sanitize',
    'address',
  ]);
  check('native tests, ThreadSanitizer', node, [
    'scripts/build-native.mjs',
    '--test',
    '--sanitize',
    'thread',
  ]);
}
suite();

const note = skipped > 0 ? `, ${skipped} skipped` : '';
process.stdout.write(`\n${passed} passed, ${failed} failed${note}\n`);
process.exit(failed === 0 ? 0 : 1);

function check(title, command, args) {
  const begin = performance.now();
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 });
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  if (result.status === 0) {
    passed++;
    process.stdout.write(`ok      ${title} (${seconds} s)\n`);
  } else {
    failed++;
    process.stdout.write(`FAILED  ${title} (${seconds} s)\n${result.stdout ?? ''}${result.stderr ?? ''}\n`);
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
