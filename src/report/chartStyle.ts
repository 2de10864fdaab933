/** Colours and lines of charts, in a page and on their own; light or dark as the reader's system asks. */

/** Colours that differ for most colour-blind readers too; one per model, in this order, in every chart of a page. */
const palette = [
  '#2f6fb0',
  '#c8562b',
  '#2e8b57',
  '#8e5fb5',
  '#b8860b',
  '#c2417c',
  '#3a9aa8',
  '#6b7280',
  '#7a4b2a',
  '#4956c9',
];
export const paletteSize = palette.length;

export const colors = `
:root { --ink: #1d2430; --soft: #5c6675; --rule: #d9dee6; --ground: #ffffff; --panel: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --soft: #9aa5b4; --rule: #343c48; --ground: #14181f; --panel: #1b212a; }
}`;

export const chartStyle = `
svg text { fill: var(--ink); font: 11px system-ui, sans-serif; }
svg .chart-title { font-size: 13px; font-weight: 600; } svg .tick, svg .label { fill: var(--soft); }
svg .middle { text-anchor: middle; } svg .end { text-anchor: end; }
svg .grid { stroke: var(--rule); stroke-width: 1; } svg .line { fill: none; stroke-width: 2; }
svg .bar-value { fill: #ffffff; font-weight: 600; } svg .second-line { fill: none; stroke: var(--ink); stroke-width: 1.5; }
svg .second-mark { fill: var(--ground); stroke: var(--ink); stroke-width: 1.5; } svg .second-label { font-weight: 600; }
${palette.map((color, i) => `svg .color-${i} { stroke: ${color}; } svg .fill-${i} { fill: ${color}; }`).join('\n')}
`;

/** A chart as a file of its own: with its style and a ground behind it. */
export function standaloneChart(chart: string): string {
  const [, opening = '', rest = ''] = /^<svg ([^>]*)>(.*)$/s.exec(chart) ?? [];
  const ground = '<rect width="100%" height="100%" rx="6" fill="var(--panel)"/>';
  return `<svg xmlns="http://www.w3.org/2000/svg" ${opening}><style>${colors}${chartStyle}</style>${ground}${rest}\n`;
}
