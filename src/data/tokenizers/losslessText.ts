/**
 * Bytes as text and back, whatever they are. A byte that is no UTF-8 becomes half of a surrogate pair, U+DC00 + byte, which no
 * text has by itself (as Python's `surrogateescape` does it).
 */
import { isUtf8 } from 'node:buffer';

const firstEscape = 0xdc00;
const lowestEscaped = 0x80;
const surrogate = /[\ud800-\udfff]/u;

/** The text of bytes, with an escape for each byte that belongs to no character. */
export function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (isUtf8(buffer)) return buffer.toString('utf8');
  const units = new Uint16Array(buffer.length);
  let count = 0;
  for (let at = 0; at < buffer.length; ) {
    const length = characterLength(buffer, at);
    if (length <= 1) {
      units[count++] = length === 1 ? buffer[at] : firstEscape + buffer[at];
      at++;
      continue;
    }
    let code = buffer[at] & (0xff >> (length + 1));
    for (let next = 1; next < length; next++) code = (code << 6) | (buffer[at + next] & 0x3f);
    if (code < 0x10000) units[count++] = code;
    else {
      units[count++] = 0xd7c0 + (code >> 10);
      units[count++] = 0xdc00 | (code & 0x3ff);
    }
    at += length;
  }
  return Buffer.from(units.buffer, 0, 2 * count).toString('utf16le');
}

/** The bytes of a text with escapes. Surrogates that are no escapes become U+FFFD, as in any other conversion. */
export function bytesOf(text: string): Uint8Array {
  if (!surrogate.test(text)) return Buffer.from(text);
  const bytes = Buffer.alloc(3 * text.length);
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) {
      bytes[count++] = unit;
    } else if (unit >= firstEscape + lowestEscaped && unit < firstEscape + 256) {
      bytes[count++] = unit - firstEscape;
    } else {
      const pair = unit >= 0xd800 && unit < firstEscape && isLow(text.charCodeAt(at + 1));
      count += bytes.write(pair ? text.slice(at, at + 2) : text[at], count);
      if (pair) at++;
    }
  }
  return bytes.subarray(0, count);
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** Bytes of the character that begins here; 0 if none does. The bounds of the second byte are those of RFC 3629. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at];
  if (first < 0x80) return 1;
  const length =
    first >= 0xc2 && first < 0xe0
      ? 2
      : first >= 0xe0 && first < 0xf0
        ? 3
        : first >= 0xf0 && first < 0xf5
          ? 4
          : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  const second = bytes[at + 1];
  const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let next = 2; next < length; next++) if ((bytes[at + next] & 0xc0) !== 0x80) return 0;
  return length;
}
