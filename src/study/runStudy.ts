/** A prepared study from its budget to its report: one comparison per part, in the study's folder. */
import { BraidError } from '../graph/index.ts';
import type { DataConfig } from '../train/index.ts';
import { trainConfigSchema } from '../train/index.ts';
import type { Rates } from './design.ts';
import type { ComparisonResult } from './results.ts';
import type { ComparisonOptions } from './run.ts';
import { runComparison } from './run.ts';
import type { Part, Study, StudySize } from './studies/study.ts';
import { smallSizes } from './studies/study.ts';

export interface StudySettings {
  readonly size: StudySize;
  /** Seconds that all of it may take. */
  readonly budget: number;
  /** By the budget unless given: two under an hour, three from an hour, five from eight. */
  readonly seeds?: readonly number[];
  /** One rate for all under an hour, a grid of three from an hour, unless given. */
  readonly rates?: Rates;
  readonly data: DataConfig;
}

export interface PreparedStudy {
  readonly study: Study<StudySize>;
  readonly settings: StudySettings & { readonly seeds: readonly number[]; readonly rates: Rates };
  readonly parts: readonly Part[];
}

export interface StudyResult {
  readonly version: 1;
  readonly study: string;
  readonly question: string;
  readonly size: StudySize;
  /** Seconds. */
  readonly budget: number;
  readonly parts: readonly { readonly title: string; readonly comparison: ComparisonResult }[];
}

/** Training settings of the sizes; the rate is the middle of the grid. */
const training = {
  nano: { length: 256, batch: 2, learningRate: 3e-3 },
  '10m': { length: 512, batch: 2, learningRate: 1.5e-3 },
  // Those of FlowHN's released training script.
  '135m': { length: 1024, batch: 2, learningRate: 3e-4 },
  '350m': { length: 1024, batch: 2, learningRate: 3e-4 },
  '1b': { length: 1024, batch: 2, learningRate: 3e-4 },
} as const;

const hour = 3600;
/** Prompts of each length and depth. */
const needleTrials = 10;

/** Fills in what follows from the budget. Nothing is run. */
export function prepareStudy(study: Study<StudySize>, given: StudySettings): PreparedStudy {
  const { size, budget } = given;
  const sizes: readonly StudySize[] = study.sizes ?? smallSizes;
  if (!sizes.includes(size)) {
    throw new BraidError(
      'usage',
      `The study '${study.name}' has the sizes ${sizes.join(', ')}, not ${size}.`,
    );
  }
  const { learningRate } = training[size];
  const grid: Rates = { kind: 'grid', rates: [learningRate / 2, learningRate, 2 * learningRate] };
  const rates = given.rates ?? (budget >= hour ? grid : { kind: 'fixed' as const });
  const count = budget >= 8 * hour ? 5 : budget >= hour ? 3 : 2;
  const seeds = given.seeds ?? Array.from({ length: count }, (_, index) => index + 1);
  return { study, settings: { ...given, seeds, rates }, parts: study.parts(size) };
}

/** Runs the parts one after the other. `hooksOf` gives the hooks of each. Aborted, it saves and throws `interrupted`. */
export async function runStudy(
  { study, settings, parts }: PreparedStudy,
  folder: string,
  runPart: (part: Part, run: (hooks: Hooks) => Promise<ComparisonResult>) => Promise<ComparisonResult>,
): Promise<StudyResult> {
  const { size, budget, seeds, rates, data } = settings;
  const train = trainConfigSchema.parse({ ...training[size], steps: 1, checkpointEvery: 0, keep: 1 });
  const results: { title: string; comparison: ComparisonResult }[] = [];
  for (const part of parts) {
    const { name, title, rows, equal, share, windows = 1, needles } = part;
    const design = { rows, equal, seeds, rates, data, train, amount: { budget: budget * share } };
    const comparison = await runPart(part, (hooks) =>
      runComparison(design, {
        ...hooks,
        name: title,
        folder: `${folder}/${name}`,
        speeds: folder,
        measuring: {
          length: windows * train.length,
          ...(needles
            ? { needle: { lengths: needles.map((times) => times * train.length), trials: needleTrials } }
            : {}),
        },
      }),
    );
    results.push({ title, comparison });
  }
  return { version: 1, study: study.name, question: study.question, size, budget, parts: results };
}

type Hooks = Omit<ComparisonOptions, 'name' | 'folder' | 'speeds' | 'measuring'>;
