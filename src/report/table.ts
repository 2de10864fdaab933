/** Tables of figures, as plain text for terminals and as Markdown. */

export interface Column {
  readonly title: string;
  /** Figures stand to the right, names to the left. */
  readonly align?: 'left' | 'right';
}

export type Row = readonly string[];

/** A table with aligned columns and a rule under the titles. */
export function textTable(columns: readonly Column[], rows: readonly Row[]): string {
  const widths = columnWidths(columns, rows);
  const line = (cells: Row) =>
    columns
      .map((column, i) => pad(cells[i] ?? '', widths[i] ?? 0, column.align))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  return [line(columns.map(({ title }) => title)), rule, ...rows.map(line)].join('\n');
}

/** The same as a GitHub-flavoured Markdown table. */
export function markdownTable(columns: readonly Column[], rows: readonly Row[]): string {
  const escaped = rows.map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = columnWidths(columns, escaped);
  const line = (cells: Row) =>
    `| ${columns.map((column, i) => pad(cells[i] ?? '', widths[i] ?? 0, column.align)).join(' | ')} |`;
  const rule = columns.map((column, i) => {
    const dashes = '-'.repeat(Math.max(3, widths[i] ?? 0) - (column.align === 'right' ? 1 : 0));
    return column.align === 'right' ? `${dashes}:` : dashes;
  });
  return [line(columns.map(({ title }) => title)), `| ${rule.join(' | ')} |`, ...escaped.map(line)].join(
    '\n',
  );
}

function columnWidths(columns: readonly Column[], rows: readonly Row[]): number[] {
  return columns.map(({ title }, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)));
}

function pad(text: string, width: number, align: Column['align']): string {
  return align === 'right' ? text.padStart(width) : text.padEnd(width);
}
