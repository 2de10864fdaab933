/**
 * How a text falls into words before byte pairs are merged: the patterns of the tokenizers in use. They were written for other
 * engines; here they are said in JavaScript's, and only those that were checked are used.
 */

/** GPT-2, and every ByteLevel pre-tokenizer with its own pattern. */
export const gpt2Words = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const upper = '\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}';
const lower = '\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}';

/** Llama 3, and others after cl100k_base. */
const llama3Words = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const qwen2Words = llama3Words.replace('{1,3}', '');
/** GPT-4o and GPT-OSS. */
export const o200kWords =
  `[^\\r\\n\\p{L}\\p{N}]?[${upper}]*[${lower}]+${contractions}?|[^\\r\\n\\p{L}\\p{N}]?[${upper}]+[${lower}]*${contractions}?|` +
  '\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
/**
 * cl100k_base as tiktoken 0.14 has it, without its possessive quantifiers, which change nothing: white space at the very end is
 * one word there.
 */
export const cl100kWords =
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s";

const known = new Set([gpt2Words, llama3Words, qwen2Words, o200kWords]);

/** Whether a pattern of a tokenizer.json is one of those that are known to mean the same here. */
export function isKnownPattern(pattern: string): boolean {
  return known.has(pattern);
}

/** Each digit by itself, and what is between. */
export const digitsApart = /\p{N}|\P{N}+/gu;

/**
 * The pattern in JavaScript. White space is that of Unicode, which JavaScript's `\s` is not; what ignores case is spelled out,
 * with the long s, whose capital is S.
 */
export function wordPattern(pattern: string): RegExp {
  const spelled = pattern
    .replaceAll(contractions, "(?:'[sSſtTmMdD]|'[rR][eE]|'[vV][eE]|'[lL][lL])")
    .replaceAll('(?i:[sdmt]|ll|ve|re)', '(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])')
    .replaceAll('\\s', '\\p{White_Space}')
    .replaceAll('\\S', '\\P{White_Space}');
  return new RegExp(spelled, 'gu');
}

/** Cuts a text by each pattern in turn; what a pattern does not match is a word too. */
export function splitWords(text: string, patterns: readonly RegExp[]): readonly string[] {
  let words: readonly string[] = [text];
  for (const pattern of patterns) {
    words =
      words.length === 1 ? splitOnce(words[0], pattern) : words.flatMap((word) => splitOnce(word, pattern));
  }
  return words;
}

function splitOnce(text: string, pattern: RegExp): readonly string[] {
  const found = text.match(pattern) ?? [];
  let length = 0;
  for (const word of found) length += word.length;
  return length === text.length ? found : withGaps(text, pattern);
}

function withGaps(text: string, pattern: RegExp): readonly string[] {
  const words: string[] = [];
  let at = 0;
  for (const { 0: word, index } of text.matchAll(pattern)) {
    if (index > at) words.push(text.slice(at, index));
    if (word !== '') words.push(word);
    at = index + word.length;
  }
  if (at < text.length) words.push(text.slice(at));
  return words;
}
