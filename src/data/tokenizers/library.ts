/**
 * A `tokenizer.json` that Braid's encoder does not know, run by `@huggingface/tokenizers`. The library takes text: bytes that
 * are no UTF-8 become U+FFFD, and what its normalizer changes stays changed. Special tokens are left out of what it is told, so
 * that text which spells their names does not become them.
 */
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { BraidError } from '../../graph/index.ts';
import type { Tokenizer } from '../tokenizer.ts';
import { bytesOfToken } from './byteAlphabet.ts';
import { nameOf, separatorOf, type TokenizerFile, type TokenizerJson } from './tokenizerFile.ts';

export function libraryTokenizer({ path, json, identity }: TokenizerFile): Tokenizer {
  const name = nameOf(path);
  const library = openLibrary(path, json);
  const names = new Map([...library.get_vocab(true)].map(([token, id]) => [id, token]));
  for (const { id, content } of json.added_tokens) names.set(id, content);
  const largest = [...names.keys()].reduce((most, id) => Math.max(most, id), 0);
  const separator = separatorOf(json.added_tokens, largest + 1);
  const vocabulary = Math.max(largest, separator) + 1;
  const silent = new Set([
    separator,
    ...json.added_tokens.filter(({ special }) => special).map(({ id }) => id),
  ]);
  const spell = spelling(json);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const encode = textEncoder(library, separator, names.get(separator));
  return {
    name,
    identity,
    file: path,
    encoder: 'the library @huggingface/tokenizers',
    vocabulary,
    separator,
    encode: (text) => Int32Array.from(encode(typeof text === 'string' ? text : decoder.decode(text))),
    decode(tokens) {
      const parts: Uint8Array[] = [];
      for (const token of tokens) {
        if (silent.has(token)) continue;
        const found = names.get(token);
        if (found === undefined) {
          throw new BraidError(
            'data',
            `Token ${token} is not one of the tokenizer '${name}'. The model was trained with another tokenizer.`,
          );
        }
        parts.push(spell(found));
      }
      return Buffer.concat(parts);
    },
  };
}

/** The library guesses what it does not know. */
const kinds = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'];

function unknownKind(path: string, reason: string, cause?: unknown): BraidError {
  return new BraidError(
    'unsupported',
    `The tokenizer '${path}' is of a kind that neither Braid nor @huggingface/tokenizers can run (${reason}). ` +
      'Use another tokenizer.',
    { cause },
  );
}

function openLibrary(path: string, json: TokenizerJson): LibraryTokenizer {
  const { type } = json.model;
  if (type !== undefined && !kinds.includes(type)) throw unknownKind(path, `its model is '${type}'`);
  const told = { ...json, added_tokens: json.added_tokens.filter(({ special }) => !special) };
  try {
    return new LibraryTokenizer(told, {});
  } catch (cause) {
    throw unknownKind(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

/** The library puts the tokens of a text on the stack at once; it is given parts of about this many characters. */
const partLength = 50_000;

function textEncoder(
  library: LibraryTokenizer,
  separator: number,
  separatorName: string | undefined,
): (text: string) => readonly number[] {
  const encodePart = (text: string): readonly number[] =>
    library.encode(text, { add_special_tokens: false }).ids;
  /** Some vocabularies hold their special tokens as words too: a name is then cut in two, so that it stays text. */
  const encodeText = (text: string): readonly number[] => {
    const tokens = encodePart(text);
    if (separatorName === undefined || !tokens.includes(separator)) return tokens;
    const [head, tail] = [separatorName.slice(0, 1), separatorName.slice(1)];
    const parts = text.split(separatorName);
    return parts.flatMap((part, index) =>
      encodePart((index > 0 ? tail : '') + part + (index + 1 < parts.length ? head : '')),
    );
  };
  // Many put a mark where a text begins, as if a space stood there: their parts begin after the space.
  const probe = ['one two', 'three four', 'five'];
  const whole = encodeText(probe.join(' ')).join();
  const skipSpace = probe.flatMap((part) => encodeText(part)).join() === whole;
  return (text) => {
    if (text.length <= partLength) return encodeText(text);
    const tokens: number[] = [];
    for (let at = 0; at < text.length; ) {
      const end = wordEnd(text, at + partLength);
      for (const token of encodeText(text.slice(at, end))) tokens.push(token);
      at = skipSpace && text[end] === ' ' ? end + 1 : end;
    }
    return tokens;
  };
}

/** The end of a word at or after a place that a space and a letter follow; the place itself where none is near. */
function wordEnd(text: string, at: number): number {
  if (at >= text.length) return text.length;
  const found = /[a-z](?= [a-z])/i.exec(text.slice(at - 1, at + partLength));
  if (found) return at + found.index;
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff ? at + 1 : at;
}

const byteToken = /^<0x([0-9A-F]{2})>$/;
const wordMark = '▁';

/** How the names of tokens become bytes, by the decoder that the file names. */
function spelling(json: TokenizerJson): (token: string) => Uint8Array {
  const decoder = JSON.stringify(json.decoder ?? null);
  if (decoder.includes('"ByteLevel"')) return (token) => bytesOfToken(token) ?? Buffer.from(token);
  if (decoder.includes('"WordPiece"')) {
    return (token) => Buffer.from(token.startsWith('##') ? token.slice(2) : ` ${token}`);
  }
  const marked = decoder.includes(wordMark) || decoder.includes('"Metaspace"');
  return (token) => {
    const [, hex] = byteToken.exec(token) ?? [];
    if (hex !== undefined) return Uint8Array.of(Number.parseInt(hex, 16));
    return Buffer.from(marked ? token.replaceAll(wordMark, ' ') : token);
  };
}
