import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LayerKind, PatternNode, PatternTree } from './pattern.ts';
import { expandPattern, formatPattern, isBareBranch, namesInPattern, parsePattern } from './pattern.ts';

const names = new Map<string, LayerKind>([
  ['attention', 'mixer'],
  ['mamba1', 'mixer'],
  ['local', 'mixer'],
  ['mlp', 'channel'],
  ['moe', 'channel'],
]);

function messageOf(text: string): string {
  try {
    parsePattern(text, names);
  } catch (error) {
    return error instanceof Error ? error.message : '';
  }
  return 'no error';
}

/** Trees that the grammar can write: branches of a block are all bare or all complete. */
const trees = fc.letrec<{ tree: PatternTree; node: PatternNode; complete: PatternTree }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.record({
      kind: fc.constant('term' as const),
      name: fc.constantFrom('attention', 'mamba1', 'mlp'),
      channels: fc.array(fc.constantFrom('mlp', 'moe'), { maxLength: 2 }),
      repeat: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({
      kind: fc.constant('sequence' as const),
      items: tie('tree'),
      repeat: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({
      kind: fc.constantFrom('parallel' as const, 'routed' as const),
      branches: fc.oneof(
        fc.array(tie('complete'), { minLength: 2, maxLength: 3 }),
        fc.array(
          fc
            .constantFrom('attention', 'mamba1')
            .map((name): PatternTree => [{ kind: 'term', name, channels: [], repeat: 1 }]),
          { minLength: 2, maxLength: 3 },
        ),
      ),
      channels: fc.array(fc.constantFrom('mlp', 'moe'), { maxLength: 2 }),
      repeat: fc.integer({ min: 1, max: 3 }),
    }),
  ) as fc.Arbitrary<PatternNode>,
  tree: fc.array(tie('node'), { minLength: 1, maxLength: 3 }),
  complete: tie('tree').filter((tree) => !isBareBranch(tree)),
}));

/** No fewer layers than the tree stands for. */
function layersOf(tree: PatternTree): number {
  return tree.reduce((sum, node) => {
    if (node.kind === 'term') return sum + node.repeat;
    const inside = node.kind === 'sequence' ? [node.items] : node.branches;
    return sum + node.repeat * inside.reduce((all, part) => all + layersOf(part), 1);
  }, 0);
}

describe('parsePattern', () => {
  it('reads back what formatPattern writes', () => {
    fc.assert(
      fc.property(trees.tree, (tree) => {
        // Once in some hundred calls a tree stands for more layers than a pattern may.
        fc.pre(layersOf(tree) <= 10_000);
        expect(parsePattern(formatPattern(tree), names)).toEqual(tree);
      }),
    );
  });

  it('ignores white space around the signs', () => {
    expect(parsePattern(' ( attention + mlp&mamba1+mlp )\n * 2 ', names)).toEqual(
      parsePattern('(attention+mlp & mamba1+mlp)*2', names),
    );
  });

  it('reads a+b*2 as a+b twice', () => {
    expect(expandPattern(parsePattern('attention+mlp*2'))).toEqual([
      { kind: 'term', name: 'attention', channels: ['mlp'] },
      { kind: 'term', name: 'attention', channels: ['mlp'] },
    ]);
  });

  it('writes out groups in order', () => {
    const layers = expandPattern(parsePattern('(mamba1 mlp*2)*2 (attention | mamba1)+mlp', names));
    expect(layers.map((layer) => (layer.kind === 'term' ? layer.name : layer.kind))).toEqual([
      'mamba1',
      'mlp',
      'mlp',
      'mamba1',
      'mlp',
      'mlp',
      'routed',
    ]);
    expect(layers[6]).toMatchObject({ channels: ['mlp'] });
  });

  it.each([
    ['attention+mlp*12', 12],
    ['mamba1*24', 24],
    ['(mamba1+mlp attention+mlp)*6', 12],
    ['(mamba1+mlp mamba1+moe mamba1+mlp mamba1+moe attention+mlp mamba1+moe mamba1+mlp mamba1+moe)*4', 32],
    [
      '(attention & mamba1)+mlp (local & mamba1)+mlp*14 (attention & mamba1)+mlp (local & mamba1)+mlp*15 (attention & mamba1)+mlp',
      32,
    ],
    ['(attention+mlp & mamba1+mlp)*2', 2],
    ['(attention+mlp | mamba1+mlp)*2', 2],
  ])('knows the published architecture %s', (text, layers) => {
    expect(expandPattern(parsePattern(text, names))).toHaveLength(layers);
  });

  it('lists each name once', () => {
    expect(namesInPattern(parsePattern('(attention+mlp & mamba1+moe)*2 attention'))).toEqual([
      'attention',
      'mlp',
      'mamba1',
      'moe',
    ]);
  });

  it('shows the place of an error with a caret', () => {
    expect(messageOf('attention+mlp mmaba1')).toMatch(
      /column 15: there is no layer 'mmaba1'\. Did you mean 'mamba1'\?[^\n]*\n {2}attention\+mlp mmaba1\n {2} {14}\^$/,
    );
  });

  it.each([
    ['', /expected a layer name or '\(', found the end/],
    ['attention & mamba1', /'&' stands outside parentheses/],
    ['attention)', /closes nothing/],
    ['(attention', /expected '\)' for the '\(' in column 1, found the end/],
    ['(attention mamba1)+mlp', /'\+' cannot follow a plain group/],
    ['(attention & mamba1 | local)', /'&' and '\|' are mixed/],
    ['(attention+mlp & mamba1)', /mixes both kinds/],
    ['(attention & )', /expected a layer name or '\(', found '\)'/],
    ['attention+mamba1', /only channel mixers follow '\+'/],
    ['attention+', /'\+' is followed by the name of a channel mixer/],
    ['attention*', /'\*' takes a whole number from 1/],
    ['attention*0', /'\*' takes a whole number from 1/],
    ['attention*2+mlp', /'\+' comes before '\*'/],
    ['attention*2*2', /one '\*' is enough/],
    ['attention 2', /a number stands only after '\*'/],
    ['attention(mamba1)', /separated by a space/],
    ['attention/mlp', /'\/' has no meaning/],
    ['(attention*5000)*3', /stands for 15000 layers/],
    [`${'('.repeat(40)}attention${')'.repeat(40)}`, /nested 32 deep/],
  ])('refuses %s', (text, message) => {
    expect(messageOf(text)).toMatch(message);
  });
});
