/**
 * Measures every row of the table of marks and writes it into docs/performance.md.
 *
 *   npm run bench:marks -- [--python PATH]… [--only NAME,…] [--keep] [--quick] [--out FOLDER] [--page FILE]
 *
 * --python  a Python with PyTorch, for the rows that compare with it; the first one is compared with in all of them, those
 *           after it in a row of their own. Without one these rows are not measured
 * --only    names of calls (see rows.mjs), or help, compile; the others are taken from the folder where they are there
 * --keep    measure only what the folder does not have yet: to go on after an interruption or a failure
 * --quick   rough peaks and few samples: to try the command. Never writes the page, unless --page names another one
 *
 * Says what it will take before it starts. Run it on a machine that does nothing else.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { formatPercent } from '../../dist/report/format.js';
import { markdownTable } from '../../dist/report/table.js';
import { median } from './figures.mjs';
import { calls, minutes, rows, timings } from './rows.mjs';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const main = path.join(root, 'dist/cli/main.js');
const [begin, end] = ['<!-- marks:begin -->', '<!-- marks:end -->'];

const { values: options } = parseArgs({
  options: {
    python: { type: 'string', multiple: true, default: [] },
    only: { type: 'string' },
    keep: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    out: { type: 'string', default: 'runs/marks' },
    page: { type: 'string' },
  },
});
const folder = path.resolve(options.out);
const only = options.only?.split(',');
const unknown = (only ?? []).filter((name) => !(name in calls) && !timings.includes(name));
if (unknown.length > 0) {
  const known = [...Object.keys(calls), ...timings].join(', ');
  process.stderr.write(`--only: there is no '${unknown.join("', '")}'. Known: ${known}.\n`);
  process.exit(1);
}

mkdirSync(folder, { recursive: true });
if (!options.keep) rmSync(path.join(folder, 'cache'), { recursive: true, force: true });
const clocks = { help: timeHelp, compile: timeCompile };
const failed = measureAll(
  [...Object.keys(calls), ...timings].filter((name) => wanted(name) && possible(name)),
);

const table = makeTable();
process.stdout.write(`${table}\n`);
if (options.page !== undefined || !options.quick) writePage(options.page ?? 'docs/performance.md', table);

if (failed.length > 0) {
  tell(`Failed: ${failed.join(', ')}. Try again with --keep, which repeats only these.`);
  process.exitCode = 1;
}

function tell(text) {
  process.stderr.write(`${text}\n`);
}

function file(name) {
  return path.join(folder, `${name}.json`);
}

function wanted(name) {
  if (only && !only.includes(name)) return false;
  return !(options.keep && existsSync(file(name)));
}

function write(name, value) {
  writeFileSync(file(name), `${JSON.stringify(value)}\n`);
}

/** A call whose Python was not given cannot be made. */
function possible(name) {
  const [first, ...others] = options.python;
  const needs = (calls[name] ?? []).includes('{others}') ? others[0] : first;
  if (!(calls[name] ?? []).some((argument) => argument.startsWith('{')) || needs) return true;
  tell(`${name}: left out, for it needs ${first ? 'a second' : 'a'} --python`);
  return false;
}

/** One after the other; the names of those that failed, which cost the others nothing. */
function measureAll(names) {
  const total = (some) => some.reduce((sum, name) => sum + minutes[name], 0);
  if (!options.quick)
    tell(`${names.length} calls, about ${Math.ceil(total(names))} min on the machine of the table`);
  return names.filter((name, index) => {
    const left = options.quick ? '' : `, about ${Math.ceil(total(names.slice(index)))} min left`;
    tell(`[${index + 1}/${names.length}] ${name}${left}: ${clocks[name] ? name : commandOf(name)}`);
    const from = performance.now();
    const reason = measure(name);
    const took = ((performance.now() - from) / 60_000).toFixed(1);
    tell(`${name}: ${reason === undefined ? 'measured' : `failed: ${reason}`} after ${took} min`);
    return reason !== undefined;
  });
}

/** The reason why it failed, or nothing. */
function measure(name) {
  try {
    return clocks[name] ? write(name, clocks[name]()) : callBench(name);
  } catch (error) {
    return error.message;
  }
}

function argumentsOf(name) {
  const python = (paths) => paths.flatMap((one) => ['--python', path.resolve(one)]);
  const [first, ...others] = options.python;
  return calls[name].flatMap((argument) => {
    if (argument === '{python}') return python([first]);
    return argument === '{others}' ? python(others) : [argument];
  });
}

function commandOf(name) {
  return `braid bench ${argumentsOf(name).join(' ')}`;
}

function callBench(name) {
  const [kind, ...given] = argumentsOf(name);
  // Commander takes the last of an option that is given twice; --set takes all that follows it.
  const samples = kind === 'operators' ? '--samples' : '--steps';
  const rough = options.quick ? ['--quick', '--rounds', '1', samples, '2'] : [];
  const set = given.indexOf('--set');
  const all = set < 0 ? [...given, ...rough] : [...given.slice(0, set), ...rough, ...given.slice(set)];
  // The old report goes first: a call that fails must not show the figures of another.
  rmSync(file(name), { force: true });
  const { status, signal } = spawnSync(process.execPath, [main, 'bench', kind, '--out', file(name), ...all], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    // Balances and lanes are measured anew: what was kept may come from a busy hour.
    env: { ...process.env, XDG_CACHE_HOME: path.join(folder, 'cache') },
  });
  if (signal === 'SIGINT' || signal === 'SIGTERM') stop(name);
  return status === 0 ? undefined : `status ${status ?? signal}`;
}

function stop(name) {
  tell(`Stopped in ${name}. Go on with --keep.`);
  process.exit(130);
}

/** Median seconds of ten starts. */
function timeHelp() {
  const starts = Array.from({ length: 10 }, () => {
    const from = performance.now();
    spawnSync(process.execPath, [main, '--help']);
    return (performance.now() - from) / 1000;
  });
  return median(starts);
}

/** Seconds of a build from nothing, in a copy, so that the build at hand stays as it is. */
function timeCompile() {
  const copy = mkdtempSync(path.join(os.tmpdir(), 'braid-compile-'));
  try {
    for (const part of ['native', 'scripts', 'package.json']) {
      cpSync(path.join(root, part), path.join(copy, part), { recursive: true });
    }
    symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    const from = performance.now();
    const { status, stderr } = spawnSync(process.execPath, ['scripts/build-native.mjs', '--quiet'], {
      cwd: copy,
    });
    if (status !== 0) throw new Error(`the build in a copy failed: ${stderr}`);
    return (performance.now() - from) / 1000;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function makeTable() {
  const reports = Object.fromEntries(
    [...Object.keys(calls), ...timings]
      .filter((name) => existsSync(file(name)))
      .map((name) => [name, JSON.parse(readFileSync(file(name), 'utf8'))]),
  );
  const lines = rows.flatMap((row) => {
    const missing = row.needs.filter((name) => reports[name] === undefined);
    if (missing.length > 0) return [[row.name, '', '', 'not measured', row.needs.join(', ')]];
    const show = (value) => (row.percent ? formatPercent(value) : value.toFixed(2));
    try {
      return row
        .parts(reports)
        .map(({ label, figure, mark, sign, reached }, index) => [
          index === 0 ? row.name : '',
          label,
          `${sign} ${show(mark)}`,
          `${show(figure)}${reached ? '' : ' (missed)'}`,
          index === 0 ? row.needs.join(', ') : '',
        ]);
    } catch (error) {
      // A report that lacks something, such as a peer that was not installed, costs its row only.
      return [[row.name, '', '', `not measured: ${error.message}`, row.needs.join(', ')]];
    }
  });
  const columns = [
    { title: 'what' },
    { title: 'of' },
    { title: 'mark', align: 'right' },
    { title: 'measured', align: 'right' },
    { title: 'command' },
  ];
  const commands = [...Object.keys(calls), ...timings].map((name) => [name, command(name)]);
  const list = markdownTable([{ title: 'command' }, { title: 'in full' }], commands);
  return [markdownTable(columns, lines), note(reports), list].join('\n\n');
}

function command(name) {
  if (name === 'help') return '`braid --help`, median of ten';
  if (name === 'compile') return '`node scripts/build-native.mjs`, in a copy';
  const given = calls[name].map((argument) => (argument.startsWith('{') ? '--python PATH' : argument));
  return `\`braid bench ${given.join(' ')}\``;
}

/** Where and when, and the ceilings of the call whose MFU is shown. */
function note(reports) {
  const report = reports.train ?? Object.values(reports).find((one) => one?.machine);
  if (!report) return 'Nothing was measured yet.';
  const { environment, machine, created } = report;
  const tera = (peak) => `${(peak.flopsPerSecond / 1e12).toFixed(3)} TFLOP/s (${peak.source})`;
  return (
    `Measured on ${created.slice(0, 10)}: ${environment.cpu}, ${environment.threads} threads, ${environment.isa ?? 'no'} kernels, ` +
    `Node ${environment.node}${environment.git ? `, revision ${environment.git.slice(0, 10)}` : ''}. Shares are of what probes right ` +
    'before and right after each sample gave, not of these ceilings, the best of the call: bfloat16 ' +
    `${tera(machine.peaks.bfloat16)}, float32 ${tera(machine.peaks.float32)}, memory ` +
    `${(machine.bandwidth.read / 1e9).toFixed(1)} GB/s read. Batch 4 × 1024 and vocabulary 65,536 unless said.`
  );
}

function writePage(page, text) {
  const target = path.resolve(page);
  const before = readFileSync(target, 'utf8');
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page} has no marks ${begin} and ${end}.`);
  writeFileSync(target, `${before.slice(0, from + begin.length)}\n\n${text}\n\n${before.slice(to)}`);
  tell(`${page}: table written`);
}
