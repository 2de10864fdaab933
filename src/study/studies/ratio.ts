import { type LayerRatio, layout } from '../../blocks/index.ts';
import { deepDepth, deepModel, type Study } from './study.ts';

const ratios: readonly LayerRatio[] = [
  [1, 0],
  [1, 1],
  [1, 3],
  [1, 5],
  [1, 12],
  [0, 1],
];

/** Bae et al. (2025), tables 2 and 9: how much attention a hybrid needs, in layers of its own and inside blocks. */
export const ratio: Study = {
  name: 'ratio',
  summary: 'how much attention: from none to all, in turn with Mamba-2 or beside it',
  question: 'Which share of attention is best at equal FLOPs, between layers and within them?',
  parts: (size) => {
    const between = ratios.map((ratio) => ({
      name: ratio[0] === 0 ? 'mamba2' : ratio[1] === 0 ? 'attention' : `inter ${ratio.join(':')}`,
      group: 'inter',
      model: deepModel(size, layout(deepDepth, ratio, { expensive: 'attention', cheap: 'mamba2' })),
    }));
    const within = ratios
      .filter(([expensive]) => expensive > 0)
      .map((ratio) => ({
        name: `intra ${ratio.join(':')}`,
        group: 'intra',
        model: deepModel(
          size,
          layout(deepDepth, ratio, { expensive: '(halfAttention & halfMamba2)', cheap: 'mamba2' }),
          { fusion: { type: 'sum', norm: true } },
        ),
      }));
    return [{ name: 'flops', title: 'Equal FLOPs', rows: [...between, ...within], equal: 'flops', share: 1 }];
  },
};
