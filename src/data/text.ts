/** From the choice of a text to its tokens: those to train on and those to validate with. */
import { BraidError } from '../graph/index.ts';
import { shardFolders, type TokenizerChoice, tokenizerOf, type WeightedFolder } from './chosen.ts';
import { brownCorpus, splitCorpus, textCorpus } from './corpora.ts';
import { mix } from './mixture.ts';
import type { TokenSource, TokenStream } from './packing.ts';
import { packDocuments, streamOf } from './packing.ts';
import { finishedManifest, openShards, verifyShards } from './shards/source.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface TextChoice extends TokenizerChoice {
  /** `brown`, or the paths of plain text files; not used where there are shards. */
  readonly text: 'brown' | readonly string[];
  /** Every n-th document validates; shards were split when they were made. */
  readonly validateEvery: number;
  /** What the tokens weigh in the loss. */
  readonly weighting?: 'even' | 'dna';
}

export interface Text {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly train: TokenSource;
  readonly validation: TokenStream;
}

/**
 * Reads texts into memory, or opens shards after comparing each with its checksum. What cannot be read, is damaged, too short
 * or made with another tokenizer is a `BraidError`. `onVerify` is told how many bytes of the shards were compared, of all in the
 * folder at hand.
 */
export function loadText(choice: TextChoice, onVerify?: (bytes: number, total: number) => void): Text {
  const tokenizer = tokenizerOf(choice);
  if (choice.weighting === 'dna' && tokenizer.identity !== 'bytes') {
    throw new BraidError(
      'config',
      `data.weighting 'dna' weighs bytes, but the tokenizer is '${tokenizer.name}'. Use data.tokenizer=bytes.`,
    );
  }
  const { shards, text, validateEvery } = choice;
  if (shards !== undefined) return loadShards(shardFolders(shards), tokenizer, onVerify);
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

/** The training tokens stay in their files; those that validate are read. */
function loadShards(
  folders: readonly WeightedFolder[],
  tokenizer: Tokenizer,
  onVerify?: (bytes: number, total: number) => void,
): Text {
  const opened = folders.map(({ folder, weight }) => {
    const manifest = finishedManifest(folder);
    verifyShards(folder, manifest, onVerify);
    return { folder, weight, manifest };
  });
  const sources = (split: 'train' | 'validation') =>
    opened.map(({ folder, weight, manifest }) => ({ source: openShards(folder, manifest, split), weight }));
  const train = sources('train');
  const validation = mix(sources('validation'));
  const tokens = new Int32Array(validation.count);
  validation.read(0, tokens.length, tokens, 0);
  return {
    name: folders.map(({ folder }) => folder).join(', '),
    tokenizer,
    train: train.length === 1 ? train[0].source : mix(train),
    validation: streamOf(tokens, tokenizer.separator, validation.bytes),
  };
}
