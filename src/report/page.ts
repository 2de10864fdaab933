/** A self-contained HTML page: no script, no font and no picture comes from elsewhere, so it can be mailed and kept. */
import { chartStyle, colors } from './chartStyle.ts';
import { escapeMarkup } from './svg.ts';
import type { Column, Row } from './table.ts';

const style = `${colors}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.note, figcaption { color: var(--soft); font-size: .87rem; max-width: 60rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(30rem, 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--rule); border-radius: 6px; padding: .6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--rule); text-align: left; white-space: nowrap; }
th.right, td.right { text-align: right; }
svg { width: 100%; height: auto; }
${chartStyle}`;

export interface Section {
  readonly title: string;
  /** Markup made by the chart and table functions. */
  readonly body: readonly string[];
  readonly note?: string;
}

export function page(title: string, subtitle: string, sections: readonly Section[]): string {
  const body = sections.map(
    ({ title: heading, body: parts, note }) =>
      `<section><h2>${escapeMarkup(heading)}</h2>${parts.join('\n')}${
        note ? `<p class="note">${escapeMarkup(note)}</p>` : ''
      }</section>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeMarkup(title)}</title><style>${style}</style></head>
<body><h1>${escapeMarkup(title)}</h1><p class="note">${escapeMarkup(subtitle)}</p>
${body.join('\n')}
</body></html>
`;
}

export function figures(charts: readonly string[]): string {
  return `<div class="charts">${charts.map((chart) => `<figure>${chart}</figure>`).join('\n')}</div>`;
}

export function htmlTable(columns: readonly Column[], rows: readonly Row[]): string {
  const cell = (tag: string, content: string, column: Column | undefined) =>
    `<${tag}${column?.align === 'right' ? ' class="right"' : ''}>${escapeMarkup(content)}</${tag}>`;
  const head = columns.map((column) => cell('th', column.title, column)).join('');
  const body = rows.map(
    (row) => `<tr>${row.map((content, i) => cell('td', content, columns[i])).join('')}</tr>`,
  );
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`;
}
