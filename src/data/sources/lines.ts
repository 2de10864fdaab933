/** The lines of a file, each with the byte where it begins. */
import { BraidError } from '../../graph/index.ts';
import { byteStream } from './byteStream.ts';
import type { InputFile } from './files.ts';
import type { ReadOptions } from './pieces.ts';

/** A line is in memory as a whole, and a string of JavaScript holds no more than half a gigabyte. */
const longestLine = 256 * 1024 * 1024;
const newLine = 10;

export interface Line {
  readonly place: number;
  /** Without its line feed. */
  readonly bytes: Buffer;
}

export async function* lines(
  file: InputFile,
  { from, onRead }: Pick<ReadOptions, 'from' | 'onRead'>,
): AsyncGenerator<Line, void, undefined> {
  let place = from;
  let parts: Uint8Array[] = [];
  let size = 0;
  const take = (): Line => {
    const line = { place, bytes: parts.length === 1 ? Buffer.from(parts[0]) : Buffer.concat(parts) };
    parts = [];
    size = 0;
    return line;
  };
  for await (const chunk of byteStream(file, { from, onRead })) {
    let at = 0;
    for (let end = chunk.indexOf(newLine); end >= 0; end = chunk.indexOf(newLine, at)) {
      parts.push(chunk.subarray(at, end));
      const line = take();
      yield line;
      place += line.bytes.length + 1;
      at = end + 1;
    }
    if (at < chunk.length) {
      parts.push(chunk.subarray(at));
      size += chunk.length - at;
    }
    if (size > longestLine) {
      throw new BraidError(
        'data',
        `'${file.path}': the line at byte ${place} is longer than ${longestLine} bytes. Is this a file of lines? ` +
          'Give --format text for plain text.',
      );
    }
  }
  if (size > 0) yield take();
}
