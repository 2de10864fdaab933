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

/** Bae et al. (2025), long context: the loss by position, past the length that the model was trained at. */
export const context: Study = {
  name: 'context',
  summary: 'loss by position, up to four times the training length',
  question: 'Whose loss goes on falling, or at least does not rise, past the training length?',
  parts: (size) => [
    {
      name: 'tokens',
      title: 'Equal tokens, measured at four times the training length',
      rows: families.map((name) => ({ name, model: fromPreset(name, size) })),
      equal: 'tokens',
      share: 1,
      windows: 4,
    },
  ],
};
