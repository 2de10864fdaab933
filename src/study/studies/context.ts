import { lineChart } from '../../report/lineChart.ts';
import type { Section } from '../../report/page.ts';
import { figures } from '../../report/page.ts';
import type { ComparisonResult } from '../results.ts';
import { fromPreset, type Study } from './study.ts';

const families = [
  'llama',
  'mamba1',
  'mamba2',
  'shm',
  'samba',
  'hymba',
  'stripedhyena2',
  'flowhn-none',
  'flowhn-chunks',
];

/** Bae et al. (2025), long context: loss by position and a needle, past the length that the model was trained at. */
export const context: Study = {
  name: 'context',
  summary: 'loss by position and a needle, up to four times the training length',
  question:
    'Whose loss goes on falling, or at least does not rise, past the training length, and who still finds a needle?',
  parts: (size) => [
    {
      name: 'tokens',
      title: 'Equal tokens, measured at four times the training length',
      rows: families.map((name) => ({ name, model: fromPreset(name, size) })),
      equal: 'tokens',
      share: 1,
      windows: 4,
      needles: [0.5, 1, 2, 4],
    },
  ],
  conclude: (results) => results.map(needles),
};

/** The log p of the number by the length of the prompt. */
function needles({ rows, length }: ComparisonResult): Section {
  const series = [...rows]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, tasks }, color) => ({
      name,
      color,
      points: tasks.flatMap(({ metric, value }) => {
        const [, prompt] = /^length (\d+), log p/.exec(metric) ?? [];
        return prompt === undefined ? [] : [[Number(prompt) / length, value] as const];
      }),
    }));
  const chart = lineChart(series, {
    title: 'A needle by the length of the prompt',
    xLabel: 'prompt, in training lengths',
    yLabel: 'log p of the number',
  });
  return {
    title: 'Needle',
    body: [figures([chart])],
    note:
      'Mean log p, in nats, of the seven digits that the text gave, over eleven depths. Guessing digits gives −16; small models seldom ' +
      'find all seven, and log p tells them apart where the share that is right does not.',
  };
}
