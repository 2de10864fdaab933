import { fromPreset, type Study, type StudySize, studySizes } from './study.ts';

const families = [
  'llama',
  'mamba1',
  'mamba2',
  'jamba',
  'shm',
  'hymba',
  'flowhn-none',
  'flowhn-ae',
  'flowhn-fa',
  'flowhn-fac',
  'flowhn-chunks',
];

/** The table of Moradi et al. (arXiv:2505.19472), at sizes that train here and at the published ones. */
export const flowhnTable: Study<StudySize> = {
  name: 'flowhn-table',
  summary: "FlowHN's table: its strategies beside LLaMA, Mamba, Jamba, a sequential hybrid and Hymba",
  question: 'How do the models of the FlowHN paper compare on the same tokens and with the same FLOPs?',
  sizes: studySizes,
  parts: (size) => {
    const rows = families.map((name) => ({ name, model: fromPreset(name, size) }));
    return [
      { name: 'tokens', title: 'Equal tokens', rows, equal: 'tokens', share: 0.5 },
      { name: 'flops', title: 'Equal FLOPs', rows, equal: 'flops', share: 0.5 },
    ];
  },
};
