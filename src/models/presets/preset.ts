/** A configuration with a name, `FAMILY-SIZE`, and where it comes from. */

/** A model configuration as it would stand in a file. */
export type PresetConfig = Readonly<Record<string, unknown>>;

export interface Preset {
  /** `flowhn-fac-135m` */
  readonly name: string;
  readonly family: string;
  readonly size: string;
  readonly summary: string;
  /** Where the configuration is published; not given: it is made here, after the family's larger ones. */
  readonly source?: string;
  /** Sequence length that the configuration is trained at. */
  readonly length: number;
  /** The vocabulary is that of the run's tokenizer; the one given is that of bytes. */
  readonly followsTokenizer: boolean;
  readonly config: PresetConfig;
}

/** 256 bytes and the separator of documents. */
const byteVocabulary = 257;

export interface PresetChoice {
  readonly family: string;
  readonly size: string;
  readonly summary: string;
  readonly source?: string;
  readonly length: number;
  /** Not given: that of bytes, which the run's tokenizer replaces. */
  readonly vocabulary?: number;
  /** Architecture, width and what else differs from the defaults. */
  readonly config: PresetConfig;
}

export function preset({ family, size, summary, source, length, vocabulary, config }: PresetChoice): Preset {
  const name = `${family}-${size}`;
  return {
    name,
    family,
    size,
    summary,
    ...(source === undefined ? {} : { source }),
    length,
    followsTokenizer: vocabulary === undefined,
    config: { name, vocabulary: vocabulary ?? byteVocabulary, tiedHead: false, normEpsilon: 1e-6, ...config },
  };
}

/** `(a b)*3`; without the number for one. */
export function repeated(item: string, times: number): string {
  return times === 1 ? item : `${item}*${times}`;
}
