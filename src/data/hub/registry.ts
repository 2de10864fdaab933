/** Public texts on the Hugging Face hub, by short names. */
import { BraidError } from '../../graph/index.ts';
import { nearestName } from '../../models/nearest.ts';

export interface PublicSet {
  readonly name: string;
  readonly summary: string;
  /** On the hub, a data set. */
  readonly repository: string;
  /** A commit where one is known, which always gives the same files; else a branch. */
  readonly revision: string;
  /** The files whose paths begin so. */
  readonly files: readonly string[];
  /** Checksums (SHA-256) that are known beforehand, by path; those of all others come from the hub. */
  readonly sha256?: Readonly<Record<string, string>>;
}

const wikitext = {
  repository: 'Salesforce/wikitext',
  revision: 'b08601e04326c79dfdd32d625aee71d232d685c3',
} as const;

export const publicSets: readonly PublicSet[] = [
  {
    name: 'wikitext-2',
    summary: 'WikiText-2, raw: Wikipedia articles, a row a line (Merity et al. 2016)',
    ...wikitext,
    files: ['wikitext-2-raw-v1/'],
    sha256: {
      'wikitext-2-raw-v1/train-00000-of-00001.parquet':
        'e83889baabc497075506f91975be5fac0d45c5290b6b20582c8cd1e853d0c9f7',
    },
  },
  {
    name: 'wikitext-103',
    summary: 'WikiText-103, raw: Wikipedia articles, a row a line (Merity et al. 2016)',
    ...wikitext,
    files: ['wikitext-103-raw-v1/'],
  },
  {
    name: 'tinystories',
    summary: 'TinyStories by GPT-4: stories in a small vocabulary, 2.2 GB (Eldan and Li 2023)',
    repository: 'roneneldan/TinyStories',
    revision: 'f54c09fd23315a6f9c86f9dc80f725de7d8f9c64',
    files: ['TinyStoriesV2-GPT4-train.txt', 'TinyStoriesV2-GPT4-valid.txt'],
  },
  {
    name: 'fineweb-edu-10bt',
    summary: 'FineWeb-Edu, the sample of 10 billion tokens: educational web pages (Penedo et al. 2024)',
    repository: 'HuggingFaceFW/fineweb-edu',
    revision: 'main',
    files: ['sample/10BT/'],
  },
  {
    name: 'c4-validation',
    summary: 'C4, English, the validation part: web pages (Raffel et al. 2020)',
    repository: 'allenai/c4',
    revision: 'main',
    files: ['en/c4-validation.'],
  },
];

/** The set of a name; an unknown one is a `BraidError('usage')`. */
export function findPublicSet(name: string): PublicSet {
  const found = publicSets.find((set) => set.name === name);
  if (found) return found;
  const names = publicSets.map((set) => set.name);
  const nearest = nearestName(name, names);
  throw new BraidError(
    'usage',
    `There is no public set '${name}' here. ${nearest === undefined ? '' : `Did you mean '${nearest}'? `}` +
      `Known: ${names.join(', ')}.`,
  );
}
