/**
 * Measures every row of the table of marks and writes it into docs/performance.md.
 *
 *   npm run bench:marks -- [--python PATH]… [--only NAME,…] [--keep] [--quick] [--out FOLDER] [--page FILE]
 *
 * --python  a Python with PyTorch, for the rows that compare with it; may be given again. Without one they stay as they are.
 * --only    names of calls (see rows.mjs), or help, compile; the others are taken from the folder where they are there
 * --keep    measure only what the folder does not have yet
 * --quick   rough peaks and few samples: to try the command. Never writes the page, unless --page names another one
 *
 * Run it on a machine that does nothing else.
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
import { calls, rows, timings } from './rows.mjs';

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
for (const name of Object.keys(calls)) if (wanted(name)) callBench(name);
const clocks = { help: timeHelp, compile: timeCompile };
for (const name of timings) if (wanted(name)) write(name, clocks[name]());

const table = makeTable();
process.stdout.write(`${table}\n`);
if (options.page !== undefined || !options.quick) writePage(options.page ?? 'docs/performance.md', table);

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

function callBench(name) {
  const python = options.python.flatMap((one) => ['--python', path.resolve(one)]);
  if (calls[name].includes('{python}') && python.length === 0) {
    process.stderr.write(`${name}: left out, for it needs --python\n`);
    return;
  }
  const given = calls[name].flatMap((argument) => (argument === '{python}' ? python : [argument]));
  process.stderr.write(`${name}: braid bench ${given.join(' ')}\n`);
  const rough = options.quick ? ['--quick', '--rounds', '1'] : [];
  const all = ['bench', given[0], '--out', file(name), ...rough, ...given.slice(1)];
  const { status } = spawnSync(process.execPath, [main, ...all], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    // Balances and lanes are measured anew: what was kept may come from a busy hour.
    env: { ...process.env, XDG_CACHE_HOME: path.join(folder, 'cache') },
  });
  if (status !== 0)
    process.stderr.write(`${name}: failed with status ${status}; its rows stay as they are\n`);
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
  const given = calls[name].map((argument) => (argument === '{python}' ? '--python PATH' : argument));
  return `\`braid bench ${given.join(' ')}\``;
}

/** Where and when, and the peaks of the call whose MFU is shown. */
function note(reports) {
  const report = reports.train ?? Object.values(reports).find((one) => one?.machine);
  if (!report) return 'Nothing was measured yet.';
  const { environment, machine, created } = report;
  const tera = (peak) => `${(peak.flopsPerSecond / 1e12).toFixed(3)} TFLOP/s (${peak.source})`;
  return (
    `Measured on ${created.slice(0, 10)}: ${environment.cpu}, ${environment.threads} threads, ${environment.isa ?? 'no'} kernels, ` +
    `Node ${environment.node}${environment.git ? `, revision ${environment.git.slice(0, 10)}` : ''}. Peaks: bfloat16 ` +
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
  process.stderr.write(`${page}: table written\n`);
}
