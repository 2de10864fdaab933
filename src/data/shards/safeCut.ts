/**
 * Where a long text can be cut so that both sides have the tokens that they have together. The tokenizers in use first split a
 * text into words and the like, with patterns that never join
 *
 *     a Latin letter | a space before a Latin letter
 *     a line feed after something visible | something visible other than a slash
 *
 * so that each side of such a place is split as the whole is.
 */

/** Bytes that are searched at least. */
export const cutWindow = 64 * 1024;

const letter = (byte: number): boolean => (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
const space = 32;
const lineFeed = 10;
const slash = 47;

/**
 * The first such place between `least` and `least` + 64 KiB. A text without one, such as DNA or random bytes, is cut at the next
 * beginning of a character, which may cost a token or two.
 */
export function safeCut(bytes: Uint8Array, least: number): number {
  const place = safePlace(bytes, least);
  if (place !== undefined) return place;
  let at = least;
  while (at < bytes.length && (bytes[at] & 0xc0) === 0x80) at++;
  // More than three such bytes in a row are no character.
  return at - least > 3 ? least : at;
}

/** The place itself, or undefined when there is none. */
export function safePlace(bytes: Uint8Array, least: number): number | undefined {
  const end = Math.min(bytes.length - 1, least + cutWindow);
  for (let at = Math.max(2, least); at < end; at++) {
    const before = bytes[at - 1];
    const next = bytes[at];
    if (next === space && letter(before) && letter(bytes[at + 1])) return at;
    if (before === lineFeed && visible(next) && next !== slash && visible(bytes[at - 2])) return at;
  }
  return undefined;
}

/** ASCII only: some of the characters of several bytes are white space. */
function visible(byte: number): boolean {
  return byte > space && byte < 127;
}
