/** JSON lines: one object a line, its text in one field. */
import { BraidError } from '../../graph/index.ts';
import type { InputFile } from './files.ts';
import { lines } from './lines.ts';
import type { Piece, ReadOptions } from './pieces.ts';

export async function* jsonLinesPieces(
  file: InputFile,
  options: ReadOptions,
): AsyncGenerator<Piece, void, undefined> {
  for await (const { place, bytes } of lines(file, options)) {
    const line = bytes.toString('utf8').trim();
    if (line === '') continue;
    const text = textOf(line, options.field, `'${file.path}', line at byte ${place}`);
    yield { record: place, bytes: Buffer.from(text), last: true };
  }
}

function textOf(line: string, field: string, where: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new BraidError(
      'data',
      `${where}: this is not JSON (${(cause as Error).message}). Each line must hold one object; mend or remove it.`,
      { cause },
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BraidError(
      'data',
      `${where}: expected an object such as {"${field}": "…"}; found ${kindOf(value)}.`,
    );
  }
  const text = (value as Record<string, unknown>)[field];
  if (typeof text === 'string') return text;
  const keys = Object.keys(value)
    .map((key) => `'${key}'`)
    .join(', ');
  throw new BraidError(
    'data',
    `${where}: the field '${field}' ${text === undefined ? 'is missing' : `is ${kindOf(text)}, not text`}. ` +
      `The object has ${keys === '' ? 'no fields' : keys}; name the one with the text by --field.`,
  );
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
