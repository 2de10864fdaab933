/**
 * Makes a fresh clone ready: installs the locked dependencies when they are missing or outdated, compiles TypeScript,
 * and builds the native addon. Every step is skipped when its result is up to date, so it costs little to run again.
 *
 *   node scripts/bootstrap.mjs [--no-install] [--no-native] [--all] [--quiet]
 *
 * `--all` builds the kernels for every instruction set, not only for that of this CPU.
 */
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const flags = new Set(process.argv.slice(2));
const quiet = flags.has('--quiet');
const running = new Set();

const minimum = [20, 19];
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < minimum[0] || (major === minimum[0] && minor < minimum[1])) {
  stop(`Braid needs Node ${minimum.join('.')} or newer; this is ${process.versions.node}.`);
}

if (!flags.has('--no-install') && dependenciesAreOutdated()) {
  // Without install scripts: the addon is built below, where its progress and its errors can be seen.
  await step('Installing dependencies', 'npm', [
    'ci',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ]);
}
if (!existsSync(path.join(root, 'node_modules'))) stop('Dependencies are missing. Run `npm ci` first.');

// Beside each other: the TypeScript compiler uses one processor.
await Promise.all([
  step('Compiling TypeScript', process.execPath, [
    path.join(root, 'node_modules/typescript/bin/tsc'),
    '-p',
    path.join(root, 'tsconfig.build.json'),
  ]),
  ...(flags.has('--no-native')
    ? []
    : [
        step('Building the native addon', process.execPath, [
          path.join(root, 'scripts/build-native.mjs'),
          ...(flags.has('--all') ? ['--all'] : []),
        ]),
      ]),
]);

function dependenciesAreOutdated() {
  const installed = path.join(root, 'node_modules/.package-lock.json');
  return (
    !existsSync(installed) ||
    statSync(installed).mtimeMs < statSync(path.join(root, 'package-lock.json')).mtimeMs
  );
}

/** What a step prints is shown when it fails; what runs beside it ends with it. */
async function step(title, command, args) {
  const begin = performance.now();
  if (!quiet) process.stderr.write(`${title} …\n`);
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  const problem = await new Promise((resolve) => {
    child.on('error', ({ message }) => resolve(`: ${message}`));
    child.on('close', (status) => resolve(status === 0 ? undefined : ''));
  });
  running.delete(child);
  if (problem !== undefined) {
    for (const other of running) other.kill();
    process.stderr.write(output);
    stop(`${title} failed${problem}.`);
  }
  if (!quiet)
    process.stderr.write(`${title}: done in ${((performance.now() - begin) / 1000).toFixed(1)} s\n`);
}

function stop(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
