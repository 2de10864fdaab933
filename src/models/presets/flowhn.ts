/**
 * FlowHN (Moradi et al., arXiv 2505.19472) in its strategies, at the sizes released: Jamba's normalised Mamba beside
 * attention without positions, each branch with its own MLP.
 */
import type { Preset, PresetConfig } from './preset.ts';
import { preset, repeated } from './preset.ts';
import type { SizeName } from './sizes.ts';
import { attentionOf, sizes } from './sizes.ts';

const source = 'Moradi et al. 2025, arXiv:2505.19472, released code';

/** At `nano` 0.97 million parameters outside embedding and head (0.94 with a split), at `10m` 9.40 (9.08). */
const blocks: Readonly<Record<SizeName, number>> = { nano: 2, '10m': 5, '135m': 2, '350m': 9, '1b': 6 };

const strategies = [
  { name: 'none', summary: 'without split: every token through both branches' },
  { name: 'ae', summary: 'equal halves that swap from block to block' },
  { name: 'fa', summary: 'one split balanced by cost' },
  { name: 'fac', summary: 'a split balanced by cost that circulates from block to block' },
  { name: 'fa-code', summary: 'the fixed split of the released code' },
  { name: 'fac-code', summary: 'the circulating split of the released code' },
  { name: 'chunks', summary: 'tokens routed by absolute position, so that it can generate step by step' },
] as const;

type StrategyName = (typeof strategies)[number]['name'];

function routing(strategy: StrategyName, chunk: number): PresetConfig {
  if (strategy === 'none') return {};
  return { routing: strategy === 'chunks' ? { strategy, chunk } : { strategy } };
}

export const flowhnPresets: readonly Preset[] = strategies.flatMap(({ name: strategy, summary }) =>
  Object.entries(sizes).map(([name, size]) =>
    preset({
      family: `flowhn-${strategy}`,
      size: name,
      summary: `FlowHN, ${summary}`,
      ...(size.vocabulary === undefined ? {} : { source, vocabulary: size.vocabulary }),
      length: size.length,
      config: {
        width: size.width,
        pattern: repeated(
          `(attention+mlp ${strategy === 'none' ? '&' : '|'} mamba1+mlp)`,
          blocks[name as SizeName],
        ),
        attention: attentionOf(size, false),
        mamba1: { norms: true },
        mlp: { width: size.mlp },
        fusion: { type: 'concat-project' },
        ...routing(strategy, size.chunk),
      },
    }),
  ),
);
