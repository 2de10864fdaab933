/**
 * Builds the native addon `build/braid.node` with the C++ compiler alone: no node-gyp, make or Python. Only what changed
 * is compiled again. Needs g++ >= 10 or clang++ >= 12 and the packages node-addon-api and node-api-headers.
 *
 *   node scripts/build-native.mjs [--all] [--force] [--quiet]
 *   node scripts/build-native.mjs --test [--sanitize address|thread] [-- arguments of the test program]
 *
 * `--test` builds the same code without Node as a program of its own, with its tests, and runs it.
 * CXX names another compiler, CXXFLAGS gives it more flags. Kernels are compiled once per instruction set, by default
 * only for the best one of this CPU: the addon is built where it runs. `--all` compiles them for every instruction set,
 * as the tests need it; what was compiled once stays part of the build. The CPU decides at run time.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const optimized = ['-O3', '-fPIC'];
const addonFolder = path.join(root, 'build/addon');
const sanitizers = ['address', 'thread'];
const options = readOptions(process.argv.slice(2));

// From plain to rich: the linker keeps the first copy of an inline function that several objects share (those of the
// standard library), so that copy must be one that every later instruction set can run.
const instructionSets = [
  { name: 'portable', macros: [], flags: [] },
  { name: 'avx2', macros: ['__AVX2__', '__FMA__', '__F16C__'], flags: ['-mavx2', '-mfma', '-mf16c'] },
  {
    name: 'avx512',
    macros: ['__AVX512F__', '__AVX512BW__', '__AVX512DQ__', '__AVX512VL__'],
    flags: ['-mavx2', '-mfma', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl'],
  },
  {
    name: 'avx512bf16',
    macros: ['__AVX512BF16__', '__AVX512BW__', '__AVX512DQ__', '__AVX512VL__'],
    flags: [
      '-mavx2',
      '-mfma',
      '-mf16c',
      '-mavx512f',
      '-mavx512bw',
      '-mavx512dq',
      '-mavx512vl',
      '-mavx512bf16',
    ],
  },
];

const compiler = findCompiler();
const variants = chooseVariants();
const begin = performance.now();
const started = new Date();
const target = options.test ? testTarget() : addonTarget();
const objects = await compileAll(target.parts);
const linked = link(target, objects);
// What was changed since it was begun is not in it: the package compares the times of its sources with this one.
utimesSync(target.output, started, started);
if (!options.quiet) {
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  const what = path.relative(process.cwd(), target.output);
  process.stderr.write(
    linked ? `Built ${what} with ${compiler.version} in ${seconds} s.\n` : `${what} is up to date.\n`,
  );
}
if (options.test) {
  const result = spawnSync(target.output, options.rest, { stdio: 'inherit' });
  process.exit(result.status ?? 1);
}

function readOptions(args) {
  const end = args.indexOf('--');
  const rest = end < 0 ? [] : args.slice(end + 1);
  const read = { test: false, all: false, force: false, quiet: false, sanitize: undefined, rest };
  const own = end < 0 ? args : args.slice(0, end);
  for (let i = 0; i < own.length; i++) {
    const arg = own[i];
    if (arg === '--test') read.test = true;
    else if (arg === '--all') read.all = true;
    else if (arg === '--force') read.force = true;
    else if (arg === '--quiet') read.quiet = true;
    else if (arg === '--sanitize') {
      read.sanitize = own[++i];
      if (!sanitizers.includes(read.sanitize)) stop(`--sanitize takes ${sanitizers.join(' or ')}.`);
    } else stop(`Unknown option '${arg}'. Known: --test, --sanitize, --all, --force, --quiet.`);
  }
  if (read.sanitize && !read.test) stop('--sanitize goes with --test.');
  return read;
}

/** The first compiler that runs and is new enough, with what it says about itself. */
function findCompiler() {
  const given = process.env.CXX?.trim();
  const candidates = given ? [given] : ['c++', 'g++', 'clang++'];
  const problems = [];
  for (const candidate of candidates) {
    const [command = '', ...args] = candidate.split(/\s+/);
    const result = spawnSync(command, [...args, '-x', 'c++', '-dM', '-E', os.devNull], { encoding: 'utf8' });
    if (result.status !== 0) {
      problems.push(`${candidate}: ${result.error ? 'not found' : 'does not run'}`);
      continue;
    }
    const macro = (name) => result.stdout.match(new RegExp(`^#define ${name} (.*)$`, 'm'))?.[1];
    const clang = Number(macro('__clang_major__') ?? 0);
    const gcc = clang > 0 ? 0 : Number(macro('__GNUC__') ?? 0);
    if (clang >= 12 || gcc >= 10) {
      const version =
        clang > 0
          ? (macro('__VERSION__') ?? '').replaceAll('"', '')
          : `g++ ${gcc}.${macro('__GNUC_MINOR__')}`;
      const x86 = macro('__x86_64__') === '1';
      return {
        command,
        args,
        version,
        clang: clang > 0,
        x86,
        native: x86 ? nativeMacros(command, args) : [],
      };
    }
    problems.push(`${candidate}: too old (${clang > 0 ? `clang ${clang}` : `g++ ${gcc}`})`);
  }
  return stop(
    `No C++ compiler that can build the native addon. Tried ${problems.join('; ')}.\n` +
      'Install g++ 10 or newer, or clang++ 12 or newer (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++; ' +
      'macOS: xcode-select --install), or name one in CXX.',
  );
}

/** What the compiler defines for the CPU at hand. */
function nativeMacros(command, args) {
  const flags = [...args, '-march=native', '-x', 'c++', '-dM', '-E', os.devNull];
  const { stdout } = spawnSync(command, flags, { encoding: 'utf8' });
  return [...(stdout ?? '').matchAll(/^#define (\w+)/gm)].map(([, name]) => name);
}

/** From plain to rich. Native tests go through every instruction set. */
function chooseVariants() {
  if (!compiler.x86) return instructionSets.slice(0, 1);
  if (options.all || options.test) return instructionSets;
  const best = instructionSets.findLast(({ macros }) =>
    macros.every((macro) => compiler.native.includes(macro)),
  );
  const built = ({ name }) => existsSync(path.join(addonFolder, name, 'table.cpp.o'));
  return instructionSets.filter((set) => set === best || built(set));
}

function addonTarget() {
  const require = createRequire(import.meta.url);
  const include = (name) => {
    try {
      return require(name).include_dir;
    } catch {
      return stop(`The package '${name}' is missing. Install Braid's dependencies first (npm install).`);
    }
  };
  const flags = ['-DNAPI_VERSION=8', '-DNAPI_CPP_EXCEPTIONS', `-DBRAID_COMPILER="${compiler.version}"`];
  for (const name of ['node-addon-api', 'node-api-headers']) {
    flags.push('-isystem', path.resolve(include(name).replaceAll('"', '')));
  }
  const shared = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared'];
  return {
    output: path.join(root, 'build/braid.node'),
    parts: [
      {
        folder: addonFolder,
        flags: optimized,
        sources: cppFiles('native/core'),
        kernels: cppFiles('native/kernels'),
      },
      {
        folder: addonFolder,
        flags: [...optimized, ...flags],
        sources: cppFiles('native/addon'),
        kernels: [],
      },
    ],
    linkFlags: shared,
    check: loads,
  };
}

/** A shared library may be linked with a function missing; loading it tells. */
function loads(file) {
  const script = 'process.dlopen({ exports: {} }, process.argv[1])';
  const result = spawnSync(process.execPath, ['-e', script, file], { encoding: 'utf8' });
  if (result.status === 0) return;
  rmSync(file, { force: true });
  stop(`The addon was built but cannot be loaded:\n${result.stderr}`);
}

function testTarget() {
  const { sanitize } = options;
  // Objects of another compiler or with other flags are not those of the addon.
  const { CXX = '', CXXFLAGS = '' } = process.env;
  const own = [sanitize ?? '', CXX, CXXFLAGS].join(' ').match(/[\w+]+/g) ?? [];
  const name = ['native-test', ...own].join('-');
  const folder = path.join(root, 'build', name);
  // Of debug information only the lines that a report names: all of it takes half as long again to compile.
  const sanitizeFlags = sanitize ? [`-fsanitize=${sanitize}`, '-fno-omit-frame-pointer', '-g1'] : [];
  if (sanitize === 'address') sanitizeFlags.push('-fsanitize=undefined', '-fno-sanitize-recover=undefined');
  const flags = sanitize ? ['-O1', ...sanitizeFlags] : optimized;
  // Without a sanitizer, what is tested are the objects of the addon. Kernels other than products are tested through the
  // addon, against the reference.
  const objects = own.length > 0 ? folder : addonFolder;
  const tested = { sources: cppFiles('native/core'), kernels: cppFiles('native/kernels', /^gemm/) };
  const tests = { sources: cppFiles('native/test'), kernels: cppFiles('native/test/variant') };
  return {
    output: path.join(folder, 'run'),
    parts: [
      { folder: objects, flags, ...tested },
      { folder: path.join(folder, 'tests'), headersIn: objects, flags, ...tests },
    ],
    linkFlags: sanitizeFlags,
  };
}

function cppFiles(folder, wanted = /./) {
  return readdirSync(path.join(root, folder))
    .filter((name) => name.endsWith('.cpp') && wanted.test(name))
    .sort()
    .map((name) => path.join(folder, name));
}

/** Every object of the target, in the order of the link. */
async function compileAll(parts) {
  const planned = parts.map(plan);
  const jobs = planned.flatMap((part) => part.jobs);
  for (const { object } of jobs) mkdirSync(path.dirname(object), { recursive: true });
  const outdated = (job) => options.force || isOutdated(job);
  const headers = planned.flatMap((part) => part.headers);
  for (const { source } of headers) writeHeader(source);
  await inParallel(headers.filter(outdated));
  await inParallel(jobs.filter(outdated));
  return jobs.map(({ object }) => object);
}

/** How one part is compiled into its folder; its kernels may read the headers of another part with the same flags. */
function plan({ folder, headersIn = folder, sources, kernels, flags }) {
  const common = [
    ...compiler.args,
    '-std=c++17',
    '-pthread',
    '-fvisibility=hidden',
    // NaN and infinity keep their meaning, and sums their order; only what nobody looks at is given up.
    '-fno-math-errno',
    '-fno-trapping-math',
    '-ffp-contract=fast',
    '-Wall',
    '-Wextra',
    // g++ takes its own intrinsics for uses of uninitialised variables.
    ...(compiler.clang ? [] : ['-Wno-uninitialized', '-Wno-maybe-uninitialized', '-Wno-psabi']),
    ...flags,
    ...(process.env.CXXFLAGS?.trim().split(/\s+/).filter(Boolean) ?? []),
  ];
  const jobs = sources.map((source) => ({
    source,
    object: path.join(folder, `${source.replaceAll(/[\\/]/g, '_')}.o`),
    flags: [...common, ...variants.map(({ name }) => `-DBRAID_HAS_${name.toUpperCase()}`)],
  }));
  const headers = [];
  for (const variant of kernels.length > 0 ? variants : []) {
    const flags = [...common, ...variant.flags, `-DBRAID_VARIANT=${variant.name}`];
    const header = path.join(headersIn, variant.name, 'kernel.hpp');
    const compiled = `${header}.gch`;
    if (headersIn === folder) {
      headers.push({ source: header, object: compiled, flags: [...flags, '-x', 'c++-header'] });
    }
    for (const source of kernels) {
      const object = path.join(folder, variant.name, `${path.basename(source)}.o`);
      jobs.push({ source, object, flags: [...flags, '-include', header], uses: `${compiled}.key` });
    }
  }
  return { jobs, headers };
}

/** What every kernel includes, read by the compiler once per instruction set: the intrinsics alone take a second to read. */
function writeHeader(file) {
  const text = `#include "${path.join(root, 'native/kernels/math.hpp')}"\n#include <algorithm>\n#include <cmath>\n`;
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text);
}

/** Compiles on all processors; stops at the first error. */
async function inParallel(jobs) {
  // Long files first, so that none is left running alone at the end.
  const queue = jobs
    .map((job) => ({ job, size: readFileSync(path.resolve(root, job.source)).length * job.flags.length }))
    .sort((a, b) => b.size - a.size)
    .map(({ job }) => job);
  const next = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) await compile(job);
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, next));
}

function compile({ source, object, flags, uses }) {
  const args = [...flags, '-MMD', '-MF', `${object}.d`, '-c', source, '-o', object];
  return new Promise((resolve) => {
    const child = spawn(compiler.command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', (error) => stop(`${compiler.command} does not run: ${error.message}`));
    child.on('close', (status) => {
      if (status !== 0) {
        rmSync(object, { force: true });
        stop(`Compiling ${source} failed (see above). Command: ${compiler.command} ${args.join(' ')}`);
      }
      writeFileSync(`${object}.key`, keyOf({ object, flags, uses }));
      resolve();
    });
  });
}

function isOutdated(job) {
  if (!existsSync(job.object) || !existsSync(`${job.object}.key`)) return true;
  return readFileSync(`${job.object}.key`, 'utf8') !== keyOf(job);
}

/** Compiler, flags and the contents of the source and of every header it named in its last compilation; those of the header
 * read beforehand are not named, so its key counts. */
function keyOf({ object, flags, uses }) {
  const hash = createHash('sha256').update([compiler.version, ...flags].join('\0'));
  if (uses) hash.update(readFileSync(uses));
  const rule = readFileSync(`${object}.d`, 'utf8').replaceAll('\\\n', ' ');
  for (const file of rule.slice(rule.indexOf(': ') + 2).split(/(?<!\\)\s+/)) {
    if (file === '') continue;
    const full = path.resolve(root, file.replaceAll('\\ ', ' '));
    hash.update(existsSync(full) ? contents(full) : 'missing');
  }
  return hash.digest('hex');
}

function contents(file) {
  contents.cache ??= new Map();
  const known = contents.cache.get(file);
  if (known) return known;
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
  contents.cache.set(file, hash);
  return hash;
}

/** Links under another name first: a running process keeps the file it has loaded. */
function link({ output, linkFlags, check }, objects) {
  const keyFile = `${output}.key`;
  const hash = createHash('sha256').update(linkFlags.join('\0'));
  for (const object of objects) hash.update(object).update(readFileSync(`${object}.key`));
  const key = hash.digest('hex');
  if (!options.force && existsSync(output) && existsSync(keyFile) && readFileSync(keyFile, 'utf8') === key)
    return false;
  const fresh = `${output}.${process.pid}`;
  const result = spawnSync(
    compiler.command,
    [...compiler.args, '-pthread', ...objects, ...linkFlags, '-o', fresh],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  if (result.status !== 0) stop('Linking failed (see above).');
  if (check) check(fresh);
  renameSync(fresh, output);
  writeFileSync(keyFile, key);
  return true;
}

function stop(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
