import { parseModelConfig } from '../../models/index.ts';
import { fromPreset, type SmallSize, type Study } from './study.ts';

const layoutsByName: Readonly<Record<string, readonly string[]>> = {
  'SE MR LI attention': ['hyena-se', 'hyena-mr', 'hyena-li', 'attention'],
  'SE SE LI attention': ['hyena-se', 'hyena-se', 'hyena-li', 'attention'],
  'MR MR LI attention': ['hyena-mr', 'hyena-mr', 'hyena-li', 'attention'],
  'LI LI LI attention': ['hyena-li', 'hyena-li', 'hyena-li', 'attention'],
  'SE SE SE attention': ['hyena-se', 'hyena-se', 'hyena-se', 'attention'],
  'SE MR LI': ['hyena-se', 'hyena-mr', 'hyena-li', 'hyena-li'],
  attention: ['attention', 'attention', 'attention', 'attention'],
};

const times: Readonly<Record<SmallSize, number>> = { nano: 1, '10m': 3 };

/** StripedHyena 2 (Ku et al. 2025, arXiv:2503.01868), appendix C.1: which convolutions stand beside attention. */
export const layouts: Study = {
  name: 'layouts',
  summary: 'short, medium and long convolutions: which stripes of StripedHyena 2 are worth their place',
  question: 'Does the SE-MR-LI stripe beat stripes of one kind, and what does attention add?',
  parts: (size) => {
    const base = fromPreset('stripedhyena2', size);
    const rows = Object.entries(layoutsByName).map(([name, items]) => {
      const { pattern: _pattern, layers: _layers, name: _name, ...rest } = base;
      const used = Object.entries(rest).filter(
        ([key, value]) => !isSection(key, value) || items.includes(key) || key === 'mlp',
      );
      const pattern = `(${items.map((item) => `${item}+mlp`).join(' ')})*${times[size]}`;
      return { name, model: parseModelConfig({ ...Object.fromEntries(used), pattern }) };
    });
    return [
      { name: 'flops', title: 'Equal FLOPs', rows, equal: 'flops', share: 0.5 },
      { name: 'seconds', title: 'Equal seconds', rows, equal: 'seconds', share: 0.5 },
    ];
  },
};

/** Whether a value of a configuration holds the options of a layer; one that no layer uses is an error. */
function isSection(key: string, value: unknown): boolean {
  return typeof value === 'object' && value !== null && /^(hyena-\w+|attention)$/.test(key);
}
