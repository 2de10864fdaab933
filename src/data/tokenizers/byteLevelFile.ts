/** The `tokenizer.json` of a byte-level BPE of ours. */
export interface ByteLevelTokens {
  /** By id, bytes in their alphabet; the separator's is a name. */
  readonly names: readonly string[];
  readonly separator: number;
  /** Pairs of names in the order in which they are joined. */
  readonly merges: readonly (readonly [string, string])[];
}

/** The name under which tokenizers of ours have the token that separates documents. */
export const separatorName = '<|endoftext|>';

export function byteLevelFile({ names, separator, merges }: ByteLevelTokens): unknown {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      {
        id: separator,
        content: names[separator],
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      },
    ],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(names.map((name, id) => [name, id])),
      merges: merges.map(([left, right]) => `${left} ${right}`),
    },
  };
}
