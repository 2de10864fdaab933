import { describe, expect, it } from 'vitest';
import { blocksOf, parseModelConfig, readModelConfig } from './config.ts';

const base = {
  pattern: '(attention+mlp | mamba1+mlp)*2',
  width: 16,
  vocabulary: 32,
  attention: { heads: 4, kvHeads: 2 },
  mlp: { width: 24 },
  routing: { strategy: 'fac' },
};

/** The message for a configuration that differs from a good one. */
function fault(change: object, remove: readonly string[] = []): string {
  const value = Object.fromEntries(
    Object.entries({ ...base, ...change }).filter(([key]) => !remove.includes(key)),
  );
  try {
    parseModelConfig(value);
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return 'no error';
}

describe('model configuration', () => {
  it('fills in defaults, and parsing the result changes nothing', () => {
    const config = parseModelConfig(base);
    expect(config).toMatchObject({
      tiedHead: false,
      normEpsilon: 1e-6,
      fusion: { type: 'concat-project' },
      routing: { strategy: 'fac', balance: 'flops' },
      mamba1: { state: 16, norms: false },
      attention: { heads: 4, kvHeads: 2, rope: false },
    });
    expect(parseModelConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  it('gives every layer the options of its section', () => {
    const [first, second, ...rest] = blocksOf(parseModelConfig(base));
    expect(rest).toEqual([]);
    expect(second).toEqual(first);
    expect(first).toMatchObject({
      kind: 'routed',
      branches: [
        {
          kind: 'term',
          layers: [
            { name: 'attention', type: 'attention', options: { heads: 4 } },
            { name: 'mlp', options: { width: 24 } },
          ],
        },
        { kind: 'term', layers: [{ type: 'mamba1' }, { type: 'mlp' }] },
      ],
      routing: { strategy: 'fac' },
    });
  });

  it('lets an alias start from the section of its type', () => {
    const config = parseModelConfig({
      ...base,
      pattern: 'wide+mlp attention+mlp',
      routing: undefined,
      wide: { type: 'attention', headDim: 8 },
    });
    expect(blocksOf(config)[0]).toMatchObject({
      layers: [
        { name: 'wide', type: 'attention', options: { heads: 4, kvHeads: 2, headDim: 8 } },
        { type: 'mlp' },
      ],
    });
    expect(config.wide).toMatchObject({ type: 'attention', heads: 4 });
    expect(parseModelConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  it('reads the same architecture from objects and from a pattern', () => {
    const { pattern: _, ...rest } = base;
    const typed = parseModelConfig({
      ...rest,
      layers: [
        {
          routed: [
            { layer: 'attention', channels: ['mlp'] },
            { layer: 'mamba1', channels: [{ layer: 'mlp' }] },
          ],
          repeat: 2,
        },
      ],
    });
    expect(blocksOf(typed)).toEqual(blocksOf(parseModelConfig(base)));
    const mixed = parseModelConfig({
      ...rest,
      layers: ['(attention+mlp | mamba1+mlp)', { sequence: ['(attention+mlp | mamba1+mlp)'] }],
    });
    expect(blocksOf(mixed)).toEqual(blocksOf(parseModelConfig(base)));
  });

  it('lets a single layer or block differ', () => {
    const { pattern: _, ...rest } = base;
    const [layer, block] = blocksOf(
      parseModelConfig({
        ...rest,
        layers: [
          { layer: 'attention', options: { heads: 8 } },
          {
            routed: ['attention+mlp', ['mamba1', 'mlp']],
            routing: { strategy: 'ae' },
            fusion: { type: 'sum' },
          },
        ],
      }),
    );
    expect(layer).toMatchObject({ layers: [{ options: { heads: 8, kvHeads: 2 } }] });
    expect(block).toMatchObject({ routing: { strategy: 'ae' }, fusion: { type: 'sum' } });
  });

  it.each([
    [{ widht: 8 }, /^The model configuration: widht: there is no 'widht' here\. Did you mean 'width'\?/],
    [{ width: '16' }, /width: expected a number; given "16"/],
    [{ width: 0 }, /width: must be greater than 0; given 0/],
    [{ width: undefined }, /width: is missing; expected a number/],
    [
      { pattern: 'atention' },
      /pattern: In the pattern, column 1: there is no layer 'atention'\. Did you mean 'attention'/,
    ],
    [{ layers: ['mlp'] }, /exactly one of 'pattern' and 'layers'.* both are given/],
    [{ attention: { heads: 5 } }, /attention\.heads: is 5, which does not divide the width 16/],
    [{ attention: { heads: 4, kvHeads: 3 } }, /attention\.kvHeads: is 3, which does not divide the 4 heads/],
    [{ attention: { head: 4 } }, /attention\.head: there is no 'head' here\. Did you mean 'heads'/],
    [
      { attention: { heads: 4, rope: { theat: 3 } } },
      /attention\.rope\.theat: there is no 'theat' here\. Did you mean 'theta'/,
    ],
    [{ attention: { heads: 4, rope: 'yes' } }, /attention\.rope: expected false or a section; given "yes"/],
    [{ attention: 4 }, /attention: expected a section with options; given 4/],
    [{ routing: { strategy: 'fa', ratio: 0 } }, /routing\.ratio: must be greater than 0; given 0/],
    [{ routing: { strategy: 'fa', ratio: 1 } }, /routing\.ratio: must be less than 1; given 1/],
    [
      { routing: { strategy: 'ae', ratio: 0.4 } },
      /routing\.ratio: is 0\.4, but the split of 'ae' is part of its rule/,
    ],
    [{ routing: { strategy: 'fca' } }, /routing\.strategy: there is no strategy 'fca'\. Did you mean '/],
    [{ routing: { stratgy: 'fac' } }, /routing\.strategy: is missing/],
    [{ routing: undefined }, /routing\.strategy: is missing: a block with '\|' needs a strategy/],
    [{ pattern: '(attention & mamba1)+mlp' }, /routing: has no use: no block routes tokens/],
    [{ fusion: { type: 'som' } }, /fusion\.type: there is no fusion 'som'\. Did you mean 'sum'/],
    [{ local: { type: 'atention' } }, /local\.type: there is no layer "atention"\. Did you mean 'attention'/],
    [{ local: { window: 4 } }, /local: there is no 'local' here\..* A section with 'type' defines an alias/],
    [{ 'a b': { type: 'mlp' } }, /a b: an alias is a letter/],
    [
      { pattern: undefined, layers: [{ layer: 'mlp', options: { widht: 3 } }] },
      /layers\[0\]\.options\.widht: there is no 'widht'/,
    ],
    [
      { pattern: undefined, layers: [{ layer: 'mlp', channels: ['attention'] }] },
      /layers\[0\]\.channels\[0\]: 'attention' is a mixer/,
    ],
    [
      { pattern: undefined, layers: [{ layer: 'mlp', repat: 2 }] },
      /layers\[0\]\.repat: .*Did you mean 'repeat'/,
    ],
    [
      { pattern: undefined, layers: [{ parallel: ['mlp'] }] },
      /layers\[0\]\.parallel: expected a list of at least two/,
    ],
    [
      { pattern: undefined, layers: [{ parallel: ['attention', 'mamba1+mlp'] }] },
      /layers\[0\]: .*mixes both kinds/,
    ],
    [
      { pattern: undefined, layers: [{ parallel: ['mlp', 'mlp'], layer: 'mlp' }] },
      /layers\[0\]: needs exactly one of/,
    ],
    [{ pattern: undefined, layers: ['mlp &'] }, /layers\[0\]: In the pattern, column 5/],
    [{ pattern: undefined, layers: [3] }, /layers\[0\]: expected a pattern or an object/],
    [{ pattern: undefined, layers: [] }, /layers: expected a list of layers; given \[\]/],
    [
      { pattern: undefined, layers: [{ layer: 'mlp', repeat: 0 }] },
      /layers\[0\]\.repeat: must be a whole number/,
    ],
  ])('explains the fault of %j', (change, message) => {
    expect(fault(change)).toMatch(message);
  });

  it('tells all faults at once, a line each', () => {
    expect(fault({ width: 16.5, vocabulary: 0, nme: 'x' }).split('\n')).toHaveLength(4);
  });

  it('names lines of a file and overrides', () => {
    const text =
      'pattern: (mlp+mlp | mlp+mlp)\nwidth: 16\nvocabulary: 32\nmlp:\n  # comment\n  widht: 3\nrouting:\n  ratio: 0.5\n';
    expect(() => readModelConfig(text, 'model.yaml')).toThrow(
      /mlp\.widht \(model\.yaml, line 6\): there is no 'widht'/,
    );
    expect(() => readModelConfig(text, 'model.yaml')).toThrow(
      /routing\.strategy \(model\.yaml, line 7\): is missing/,
    );
    const good = text.replace('widht', 'width').replace('ratio: 0.5', 'strategy: ae');
    expect(readModelConfig(good, 'model.yaml', ['mlp.width=9', 'name=small'])).toMatchObject({
      name: 'small',
      mlp: { width: 9 },
    });
    expect(() => readModelConfig(good, 'model.yaml', ['mlp.width=nine'])).toThrow(
      /mlp\.width \(the override 'mlp\.width=nine'\): expected a number; given "nine"/,
    );
    expect(() => readModelConfig('a: [1', 'model.yaml')).toThrow(/model\.yaml, line 1, column/);
    expect(() => readModelConfig('a: 1\na: 2', 'model.yaml')).toThrow(/model\.yaml, line 2/);
  });
});
