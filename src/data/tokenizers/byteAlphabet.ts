/**
 * The alphabet in which byte-level tokenizers write bytes (GPT-2's `bytes_to_unicode`): a visible character of Latin-1 is
 * itself; all others follow from U+0100 on, in order.
 */

const visible = (byte: number): boolean =>
  (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);

let hidden = 0;
/** The character of each byte. */
export const characterOfByte: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(visible(byte) ? byte : 256 + hidden++),
);

const byteOfCharacter = new Map(characterOfByte.map((character, byte) => [character, byte]));

/** The bytes that a token is written for; undefined when a character is none of the alphabet. */
export function bytesOfToken(token: string): Uint8Array | undefined {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter.get(token[i]);
    if (byte === undefined) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}

/** How bytes are written in a token. */
export function tokenOfBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => characterOfByte[byte]).join('');
}
