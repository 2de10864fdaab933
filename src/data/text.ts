/** From the choice of a text to streams of tokens, one to train on and one to validate with. */
import { BraidError } from '../graph/index.ts';
import { brownCorpus, splitCorpus, textCorpus } from './corpora.ts';
import type { TokenSource, TokenStream } from './packing.ts';
import { packDocuments } from './packing.ts';
import type { Tokenizer } from './tokenizer.ts';
import { findTokenizer } from './tokenizer.ts';

export interface TextChoice {
  /** `brown`, or the paths of plain text files. */
  readonly text: 'brown' | readonly string[];
  readonly tokenizer: string;
  /** Every n-th document validates. */
  readonly validateEvery: number;
}

export interface Text {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly train: TokenSource;
  readonly validation: TokenStream;
}

export function loadText({ text, tokenizer: name, validateEvery }: TextChoice): Text {
  const tokenizer = findTokenizer(name);
  const corpus = text === 'brown' ? brownCorpus() : textCorpus(text);
  const { train, validation } = splitCorpus(corpus, validateEvery);
  if (train.length === 0 || validation.length === 0) {
    throw new BraidError(
      'data',
      `The text '${corpus.name}' is too short to keep every ${validateEvery}th part of it for validation. ` +
        'Give a longer text.',
    );
  }
  return {
    name: corpus.name,
    tokenizer,
    train: packDocuments(train, tokenizer),
    validation: packDocuments(validation, tokenizer),
  };
}
