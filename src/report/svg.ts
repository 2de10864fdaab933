/** Building blocks of SVG charts: escaping, elements, axes' ticks. A chart is a string; there is no DOM. */

export type SvgAttributes = Readonly<Record<string, string | number | undefined>>;

/** Escapes text for XML and HTML, attribute values included. */
export function escapeMarkup(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** One element. Children are markup; `text` makes them from plain text. */
export function element(name: string, attributes: SvgAttributes, children: readonly string[] = []): string {
  let head = name;
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined) continue;
    const shown = typeof value === 'number' ? String(Math.round(value * 100) / 100) : escapeMarkup(value);
    head += ` ${key}="${shown}"`;
  }
  return children.length === 0 ? `<${head}/>` : `<${head}>${children.join('')}</${name}>`;
}

export function text(content: string, attributes: SvgAttributes): string {
  return element('text', attributes, [escapeMarkup(content)]);
}

/** A title inside a mark: what browsers show when the pointer rests on it. */
export function hint(content: string): string {
  return element('title', {}, [escapeMarkup(content)]);
}

export interface Scale {
  /** Position of a value in pixels. */
  at(value: number): number;
  readonly ticks: readonly number[];
}

/** A linear scale whose ticks are multiples of 1, 2 or 5 times a power of ten. */
export function linearScale(low: number, high: number, from: number, to: number, wanted = 5): Scale {
  const span = high > low ? high - low : 1;
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * span; i++) {
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return { at: (value) => from + ((value - low) / span) * (to - from), ticks };
}

/** A logarithmic scale whose ticks are powers of ten; both ends must be above zero. */
export function logScale(low: number, high: number, from: number, to: number): Scale {
  const start = Math.log10(low);
  const span = Math.log10(high) - start || 1;
  const ticks: number[] = [];
  for (let power = Math.ceil(start - 1e-9); power <= start + span + 1e-9; power++) ticks.push(10 ** power);
  return { at: (value) => from + ((Math.log10(value) - start) / span) * (to - from), ticks };
}
