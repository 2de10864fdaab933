/**
 * Puts what a study measured into its page: docs/studies/NAME.md gets the tables between the marks `study:begin` and
 * `study:end`, docs/studies/NAME.json the figures without training curves, docs/images the charts.
 *
 *   node scripts/study-document.mjs runs/study-routing/study.json
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { standaloneChart } from '../dist/report/chartStyle.js';
import { formatDuration } from '../dist/report/format.js';
import { markdownTable } from '../dist/report/table.js';
import { comparisonNote, comparisonTable, qualityChart } from '../dist/study/report.js';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [begin, end] = ['<!-- study:begin -->', '<!-- study:end -->'];
const given = process.argv[2];
if (given === undefined) throw new Error('Name the study.json of a study.');
const result = JSON.parse(readFileSync(given, 'utf8'));
const { study, parts } = result;

mkdirSync(path.join(root, 'docs/images'), { recursive: true });
const sections = parts.map(({ title, comparison }) => {
  const image = `images/study-${study}-${comparison.equal}.svg`;
  const chart = qualityChart(comparison, 'FLOPs per token', ({ flopsPerToken }) => flopsPerToken.training);
  writeFileSync(path.join(root, 'docs', image), standaloneChart(chart));
  const { columns, rows } = comparisonTable(comparison);
  return [
    `### ${title}`,
    `![Bits per byte by FLOPs per token](../${image})`,
    markdownTable(columns, rows),
    comparisonNote(comparison),
  ].join('\n\n');
});

const figures = {
  ...result,
  parts: parts.map(({ title, comparison }) => ({
    title,
    comparison: { ...comparison, rows: comparison.rows.map(({ curve: _curve, ...row }) => row) },
  })),
};
writeFileSync(path.join(root, `docs/studies/${study}.json`), `${JSON.stringify(figures)}\n`);

const page = path.join(root, `docs/studies/${study}.md`);
const text = readFileSync(page, 'utf8');
const [before, rest] = [text.indexOf(begin), text.indexOf(end)];
if (before < 0 || rest < before) throw new Error(`${page} has no marks ${begin} and ${end}.`);
writeFileSync(page, `${text.slice(0, before + begin.length)}\n\n${body()}\n\n${text.slice(rest)}`);

function body() {
  const { environment, data, created } = parts[0].comparison;
  const seconds = parts
    .flatMap(({ comparison }) => comparison.rows)
    .reduce((sum, row) => sum + row.trainingSeconds * row.seeds.length, 0);
  return [
    `Measured on ${created.slice(0, 10)}: size ${result.size}, ${environment.cpu}, ${environment.threads} threads, ${environment.isa} ` +
      `kernels, ${environment.precision}; text: ${data.name}; ${formatDuration(seconds)} of training in all.`,
    ...sections,
  ].join('\n\n');
}
