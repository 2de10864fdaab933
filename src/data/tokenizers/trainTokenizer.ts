/** A byte-level BPE tokenizer of one's own, from the texts that it is for: a `tokenizer.json` that others read too. */
import { BraidError } from '../../graph/index.ts';
import { writeFileAtomically } from '../../models/atomicFile.ts';
import type { InputFile } from '../sources/files.ts';
import { pieces } from '../sources/pieces.ts';
import { characterOfByte } from './byteAlphabet.ts';
import { byteLevelFile, separatorName } from './byteLevelFile.ts';
import { bytesOf, textOf } from './losslessText.ts';
import { type LearnedMerge, trainBpe } from './trainBpe.ts';
import { gpt2Words, splitWords, wordPattern } from './words.ts';

export interface TrainTokenizerOptions {
  readonly files: readonly InputFile[];
  /** Where JSON lines and Parquet keep the text. */
  readonly field: string;
  /** Tokens, the separator and the 256 bytes among them. */
  readonly size: number;
  /** About so many bytes of text are looked at, every n-th document of all; default 100 MB. */
  readonly sampleBytes?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: TrainTokenizerProgress) => void;
}

export interface TrainTokenizerProgress {
  readonly phase: 'counting words' | 'learning tokens';
  readonly done: number;
  readonly total: number;
}

const separator = 0;
const firstByte = 1;
const firstMerge = firstByte + 256;
const defaultSample = 100e6;
/** When there are more different words, those that occurred once are forgotten. */
const mostWords = 4_000_000;
/** Longer words are no words, and would teach tokens that never occur again. */
const longestWord = 256;

/** Learns a tokenizer and returns the text of its `tokenizer.json`. Too small a size or too little text is an error. */
export async function trainTokenizer(options: TrainTokenizerOptions): Promise<string> {
  const { size, onProgress = () => undefined } = options;
  if (size <= firstMerge) {
    throw new BraidError(
      'usage',
      `A byte-level tokenizer has more than ${firstMerge} tokens: 256 bytes, a separator and what it learns; given ${size}.`,
    );
  }
  const words = await countWords(options);
  const total = size - firstMerge;
  const learned = trainBpe(
    [...words].map(([word, count]) => ({
      tokens: [...bytesOf(word)].map((byte) => firstByte + byte),
      count,
    })),
    {
      merges: total,
      firstToken: firstMerge,
      onProgress: (done) => onProgress({ phase: 'learning tokens', done, total }),
    },
  );
  if (learned.length < total) {
    throw new BraidError(
      'data',
      `The text repeats too little for ${size} tokens: after ${firstMerge + learned.length} no pair occurs twice. ` +
        'Give more text, or ask for fewer tokens.',
    );
  }
  return `${JSON.stringify(tokenizerJson(learned))}\n`;
}

/** Learns a tokenizer into a file, which is complete or absent. */
export async function writeTrainedTokenizer(path: string, options: TrainTokenizerOptions): Promise<void> {
  const text = await trainTokenizer(options);
  await writeFileAtomically(path, (file) => file.write(Buffer.from(text)));
}

async function countWords(options: TrainTokenizerOptions): Promise<ReadonlyMap<string, number>> {
  const { files, field, sampleBytes = defaultSample, signal, onProgress = () => undefined } = options;
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const every = Math.max(1, Math.ceil(total / sampleBytes));
  const patterns = [wordPattern(gpt2Words)];
  const words = new Map<string, number>();
  let done = 0;
  let documents = 0;
  for (const file of files) {
    const onRead = (bytes: number): void => {
      done += bytes;
    };
    for await (const { bytes, last } of pieces(file, { from: 0, field, onRead })) {
      if (signal?.aborted)
        throw new BraidError('interrupted', 'Learning the tokenizer was stopped. Nothing was written.');
      if (documents % every === 0) count(splitWords(textOf(bytes), patterns), words);
      if (last) documents++;
      onProgress({ phase: 'counting words', done, total });
    }
  }
  return words;
}

function count(found: readonly string[], words: Map<string, number>): void {
  for (const word of found) {
    if (word.length <= longestWord) words.set(word, (words.get(word) ?? 0) + 1);
  }
  if (words.size <= mostWords) return;
  for (const [word, times] of words) if (times === 1) words.delete(word);
}

function tokenizerJson(learned: readonly LearnedMerge[]): unknown {
  const names = [separatorName, ...characterOfByte];
  for (const { left, right } of learned) names.push(names[left] + names[right]);
  const merges = learned.map(({ left, right }) => [names[left], names[right]] as const);
  return byteLevelFile({ names, separator, merges });
}
