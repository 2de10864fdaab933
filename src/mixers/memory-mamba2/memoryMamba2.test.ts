import { describe, expect, it } from 'vitest';
import type { Block } from '../../blocks/index.ts';
import { buildBlocks } from '../../blocks/index.ts';
import { testContext } from '../testing.ts';
import { memoryMamba2 } from './memoryMamba2.ts';

const width = 4;
const options = {
  attention: { heads: 2, headDim: 4 },
  mlp: { kind: 'geglu-erf', width: 5 },
  mamba2: { headDim: 2, state: 2 },
};

function layer(more: Readonly<Record<string, unknown>>): Block {
  const name = 'memory-mamba2';
  return { kind: 'term', layers: [{ name, type: name, options: { ...options, ...more } }] };
}

function shapes(blocks: readonly Block[]): ReadonlyMap<string, string> {
  const context = testContext({ width });
  const x = context.graph.source('input', 'x', [2, 3, width]);
  buildBlocks(x, blocks, context, { start: 0 });
  return new Map(context.parameters.specs.map(({ name, shape }) => [name, shape.join('×')]));
}

describe('memory-mamba2', () => {
  it('shares the weights of a memory, and adds what is its own', () => {
    const more = { memory: 'a', beside: 'embedding', adapterRank: 3, adaptAttention: true };
    const one = shapes([layer(more)]);
    expect(one.get('memory.a.attention.norm.weight')).toBe('8');
    expect(one.get('memory.a.attention.query.weight')).toBe('8×8');
    expect(one.get('memory.a.attention.output.weight')).toBe('4×8');
    expect(one.get('memory.a.mlp.gate.weight')).toBe('5×4');
    const own = 'blocks.0.memory-mamba2';
    expect(one.get(`${own}.adapters.query.in.weight`)).toBe('3×8');
    expect(one.get(`${own}.adapters.query.out.weight`)).toBe('8×3');
    expect(one.get(`${own}.adapters.hidden.in.weight`)).toBe('3×4');
    expect(one.get(`${own}.adapters.up.out.weight`)).toBe('5×3');
    expect(one.get(`${own}.link.weight`)).toBe('4×4');
    const three = shapes([layer(more), layer({ ...more, memory: 'b' }), layer(more)]);
    const names = [...three.keys()];
    const memory = [...one.keys()].filter((name) => name.startsWith('memory.')).length;
    expect(names.filter((name) => name.startsWith('memory.'))).toHaveLength(2 * memory);
    expect(names).toHaveLength(2 * memory + 3 * (one.size - memory));
  });

  it('reads the stream alone, with a memory of its own and without adapters, unless told otherwise', () => {
    const found = shapes([layer({})]);
    expect(found.get('blocks.0.memory-mamba2.memory.attention.query.weight')).toBe('8×4');
    expect([...found.keys()].filter((name) => name.includes('adapters'))).toEqual([]);
  });

  it('says what it cannot read', () => {
    expect(() => shapes([layer({ beside: 'nothing' })])).toThrow(
      /memory-mamba2 takes 'nothing', which no earlier layer .* offered: 'embedding'/,
    );
    const routed: Block = {
      kind: 'routed',
      branches: [layer({ beside: 'embedding' }), layer({})],
      channels: [],
      fusion: { type: 'sum', norm: false },
      routing: { strategy: 'ae', balance: 'flops' },
    };
    expect(() => shapes([routed])).toThrow(/takes 'embedding'/);
  });

  it('checks the options of the layers inside', () => {
    const issues = memoryMamba2.check({ ...options, mamba2: { headDim: 3 } }, width);
    expect(issues).toMatchObject([{ option: 'mamba2.headDim' }]);
  });
});
