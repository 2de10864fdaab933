/** The report of a study: its question, every part with its table and charts, and what the study adds. */
import { formatDuration } from '../report/format.ts';
import { page } from '../report/page.ts';
import { markdownTable } from '../report/table.ts';
import {
  comparisonNote,
  comparisonSections,
  comparisonTable,
  environmentSection,
  pairTable,
} from './report.ts';
import type { StudyResult } from './runStudy.ts';
import type { Study, StudySize } from './studies/study.ts';

export function studyPage(study: Study<StudySize>, { parts, size, budget, question }: StudyResult): string {
  const [first] = parts;
  return page(`Braid: study ${study.name}`, `${question} Size ${size}, budget ${formatDuration(budget)}.`, [
    ...(study.conclude?.(parts.map(({ comparison }) => comparison)) ?? []),
    ...parts.flatMap(({ title, comparison }) =>
      comparisonSections(comparison).map((section) => ({ ...section, title: `${title}: ${section.title}` })),
    ),
    ...(first ? [environmentSection(first.comparison)] : []),
  ]);
}

/** The tables as Markdown, each with what it counts. */
export function studyMarkdown({ study, question, parts, size, budget }: StudyResult): string {
  const sections = parts.map(({ title, comparison }) => {
    const pairs = pairTable(comparison);
    const table = comparisonTable(comparison);
    return [
      `## ${title}`,
      markdownTable(table.columns, table.rows),
      comparisonNote(comparison),
      '### Every pair',
      markdownTable(pairs.columns, pairs.rows),
    ].join('\n\n');
  });
  return `# Study: ${study}\n\n${question} Size ${size}, budget ${formatDuration(budget)}.\n\n${sections.join('\n\n')}\n`;
}
