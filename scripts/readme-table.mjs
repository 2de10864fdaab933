/**
 * Puts what `npm run quickstart` measured into README.md: the table between the marks `quickstart:begin` and
 * `quickstart:end`, and docs/images/quickstart.svg.
 *
 *   node scripts/readme-table.mjs [runs/quickstart/results.json]
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { standaloneChart } from '../dist/report/chartStyle.js';
import { formatDuration } from '../dist/report/format.js';
import { markdownTable } from '../dist/report/table.js';
import { comparisonNote, comparisonTable, speedChart } from '../dist/study/report.js';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [begin, end] = ['<!-- quickstart:begin -->', '<!-- quickstart:end -->'];
const image = 'docs/images/quickstart.svg';

const results = process.argv[2] ?? path.join(root, 'runs/quickstart/results.json');
const comparison = JSON.parse(readFileSync(results, 'utf8'));

mkdirSync(path.join(root, path.dirname(image)), { recursive: true });
writeFileSync(path.join(root, image), standaloneChart(speedChart(comparison)));

const readme = path.join(root, 'README.md');
const text = readFileSync(readme, 'utf8');
const [before, rest] = [text.indexOf(begin), text.indexOf(end)];
if (before < 0 || rest < before) throw new Error(`README.md has no marks ${begin} and ${end}.`);
writeFileSync(readme, `${text.slice(0, before + begin.length)}\n\n${section()}\n\n${text.slice(rest)}`);

function section() {
  const { rows, environment, data, created } = comparison;
  const seconds = rows.reduce((sum, { trainingSeconds }) => sum + trainingSeconds, 0);
  const table = comparisonTable(comparison);
  const kernels = environment.isa === undefined ? '' : `, ${environment.isa} kernels`;
  return [
    `![Training speed of the models of the quickstart](${image})`,
    markdownTable(table.columns, table.rows),
    `Measured on ${created.slice(0, 10)}: ${environment.cpu}, ${environment.threads} threads${kernels}, ` +
      `${environment.precision}, Node ${environment.node.slice(1)}; text: ${data.name}; ${formatDuration(seconds)} ` +
      `of training in all. ${comparisonNote(comparison)}`,
  ].join('\n\n');
}
