import { describe, expect, it } from 'vitest';
import { parseModelConfig } from './config.ts';
import { layoutFindings } from './findings.ts';
import { findPreset } from './presets/index.ts';

const base = { width: 32, vocabulary: 10, attention: { heads: 2 } };

function findings(change: object): readonly string[] {
  return layoutFindings(parseModelConfig({ ...base, ...change })).map(
    ({ path, finding, source }) => `${path}: ${finding} [${source}]`,
  );
}

describe('layoutFindings', () => {
  it.each([
    ['attention+mlp mamba2+mlp*3', {}],
    ['mlp attention hyena-li*2', {}],
    ['(attention | mamba1)+mlp mamba1+mlp', { routing: { strategy: 'chunks' } }],
  ])('tells of attention in front: %s', (pattern, more: object) => {
    const [first] = findings({ pattern, ...more });
    expect(first).toMatch(/^blocks\.[01]: .*first among.*Bae et al\. 2025/);
  });

  it.each([
    ['attention+mlp*4', {}],
    ['mamba2+mlp attention+mlp mamba2+mlp', {}],
    ['mamba1*3', {}],
    // Nothing in the model summarises alone.
    ['(attention & mamba1)+mlp attention+mlp', { fusion: { type: 'mean', norm: true } }],
    [
      '(attention & mamba1)+mlp (near & mamba1)+mlp',
      { near: { type: 'attention', window: 4 }, fusion: { norm: true } },
    ],
  ])('has nothing to say of %s', (pattern, more: object) => {
    expect(findings({ pattern, ...more })).toEqual([]);
  });

  it('tells of branches of different kinds without norms, wherever they stand', () => {
    expect(findings({ pattern: 'mamba2+mlp (attention & mamba2)+mlp' })).toEqual([
      expect.stringMatching(/^blocks\.1: .*\(attention & mamba2\)\+mlp.*2\.738 to 2\.721.*Bae et al\./),
    ]);
    expect(findings({ pattern: 'mamba2+mlp (attention & attention)+mlp' })).toEqual([]);
    expect(
      findings({ pattern: '(mamba1+mlp (attention & mamba1)+mlp & mamba1+mlp)', fusion: { type: 'sum' } }),
    ).toEqual([expect.stringMatching(/^blocks\.0: /), expect.stringMatching(/^blocks\.0\.branch0\.1: /)]);
  });

  it('tells of chunks that alternate strictly', () => {
    const chunks = (pattern: string) =>
      findings({ pattern: '(attention+mlp | mamba1+mlp)*2', routing: { strategy: 'chunks', pattern } });
    expect(chunks('AS')).toHaveLength(2);
    expect(chunks('ASAS')[1]).toMatch(/^blocks\.1: .*ASAS.*alternate strictly.*docs\/flowhn\.md/);
    expect(chunks('SA')).toHaveLength(2);
    expect(chunks('AASS')).toEqual([]);
    expect(chunks('ASA')).toEqual([]);
    const three = (pattern: string) =>
      findings({
        pattern: '(attention+mlp | mamba1+mlp | hyena-li+mlp)*2',
        routing: { strategy: 'chunks', pattern },
      });
    expect(three('012')).toHaveLength(2);
    expect(three('012012')).toHaveLength(2);
    expect(three('0122')).toEqual([]);
  });

  it.each([
    ['ae', true],
    ['fa', true],
    ['fa-code', true],
    ['fac-code', true],
    ['fac', false],
  ])('knows whether anything flows across the split of %s', (strategy, stuck) => {
    const found = findings({ pattern: '(attention+mlp | mamba1+mlp)*2', routing: { strategy } });
    expect(found).toHaveLength(stuck ? 2 : 0);
    if (stuck) expect(found[0]).toMatch(/never depends on one before/);
  });

  it('agrees with the layouts of those who found it', () => {
    for (const name of [
      'bae-inter-1to5-1b',
      'bae-intra-1to5-1b',
      'bae-swa-1to5-1b',
      'nemotron-h-8b',
      'hymba-nvidia-1.5b',
    ]) {
      expect(layoutFindings(parseModelConfig(findPreset(name).config)), name).toEqual([]);
    }
    expect(layoutFindings(parseModelConfig(findPreset('falcon-h1-0.5b').config))).toHaveLength(36);
  });
});
