import { deepDepth, deepModel, type Study } from './study.ts';

const choices = [
  { name: 'add, one projection', fusion: { type: 'sum', projection: 'joint' } },
  { name: 'add, norms, one projection', fusion: { type: 'sum', norm: true, projection: 'joint' } },
  { name: 'add', fusion: { type: 'sum', projection: 'own' } },
  { name: 'add, norms', fusion: { type: 'sum', norm: true, projection: 'own' } },
  { name: 'add, norms, scales', fusion: { type: 'sum', norm: true, scale: true, projection: 'own' } },
  { name: 'mean, norms, one projection (Hymba)', fusion: { type: 'mean', norm: true, projection: 'joint' } },
];

/** Bae et al. (2025), ablation of the block that holds attention and Mamba-2: norms, scales, projections. */
export const fusion: Study = {
  name: 'fusion',
  summary: 'how attention and Mamba-2 in one block become one stream again',
  question: 'Do norms per branch, learned scales and own output projections pay?',
  parts: (size) => {
    const items = new Array<string>(deepDepth).fill('(halfAttention & halfMamba2)');
    const rows = choices.map(({ name, fusion }) => ({ name, model: deepModel(size, items, { fusion }) }));
    return [{ name: 'flops', title: 'Equal FLOPs', rows, equal: 'flops', share: 1 }];
  },
};
