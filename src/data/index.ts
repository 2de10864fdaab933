export type { Corpus, SplitCorpus } from './corpora.ts';
export { brownCorpus, splitCorpus, textCorpus } from './corpora.ts';
export type { LoaderState } from './loader.ts';
export { Loader } from './loader.ts';
export type { Rows, TokenStream } from './packing.ts';
export { coveringRows, fillRow, packDocuments, wholeRows } from './packing.ts';
export type { Tokenizer } from './tokenizer.ts';
export { byteTokenizer, findTokenizer } from './tokenizer.ts';
