import { describe, expect, it } from 'vitest';
import type { Tensor } from '../graph/index.ts';
import { elementCount, Graph } from '../graph/index.ts';
import type { LayerContext } from '../nn/index.ts';
import { ParameterList } from '../nn/index.ts';
import type {
  Block,
  BuildOptions,
  BuiltBlocks,
  Fusion,
  ParallelBlock,
  RoutedBlock,
  Routing,
} from './index.ts';
import { branchFlops, buildBlocks } from './index.ts';

interface Built extends BuiltBlocks {
  readonly graph: Graph;
  readonly context: LayerContext;
}

function contextOf(width: number, length: number, batch = 1): LayerContext {
  const graph = new Graph();
  return {
    graph,
    batch,
    length,
    width,
    positions: graph.source('input', 'positions', [batch, length], 'int32'),
    epsilon: 1e-6,
    deviation: 0.02,
    residualDeviation: 0.01,
    normalizeOutput: false,
    parameters: new ParameterList(),
  };
}

function build(
  blocks: readonly Block[],
  width: number,
  length: number,
  options: BuildOptions = { start: 0 },
): Built {
  const context = contextOf(width, length);
  const x: Tensor = context.graph.source('input', 'x', [1, length, width]);
  return { ...buildBlocks(x, blocks, context, options), graph: context.graph, context };
}

/** Number of parameters under a path. */
function count({ context }: Built, path: string): number {
  const under = context.parameters.specs.filter(({ name }) => name.startsWith(`${path}.`));
  return under.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

const layer = (type: string, options: Record<string, unknown>) => ({ name: type, type, options });
const complete: Fusion = { type: 'concat-project', norm: false };

/** FlowHN's block at a width and an MLP width, with the authors' heads. */
function branchesOf(mlpWidth: number, heads: number): Block[] {
  const mlp = layer('mlp', { width: mlpWidth });
  return [
    { kind: 'term', layers: [layer('attention', { heads, kvHeads: heads / 4 }), mlp] },
    { kind: 'term', layers: [layer('mamba1', { norms: true }), mlp] },
  ];
}

function parallel(branches: Block[], fusion: Fusion = complete): ParallelBlock {
  return { kind: 'parallel', branches, channels: [], fusion };
}

function routed(branches: Block[], routing: Partial<Routing> & { strategy: string }): RoutedBlock {
  return {
    kind: 'routed',
    branches,
    channels: [],
    fusion: complete,
    routing: { balance: 'flops', ...routing },
  };
}

const small = branchesOf(12, 4);

describe("FlowHN's block at the size of 135M", () => {
  const branches = branchesOf(2048, 32);

  it('has the published parameter counts', () => {
    const none = build([parallel(branches)], 768, 8);
    expect(count(none, 'blocks.0.branch0')).toBe(6_194_688);
    expect(count(none, 'blocks.0.branch1')).toBe(8_491_088);
    expect(count(none, 'blocks.0.fusion')).toBe(1_179_648);
    expect(count(none, 'blocks.0.final')).toBe(589_824 + 768);
    expect(count(none, 'blocks.0')).toBe(16_456_016);
    const split = build([routed(branches, { strategy: 'ae' })], 768, 8);
    expect(count(split, 'blocks.0.fusion')).toBe(589_824);
    expect(count(split, 'blocks.0')).toBe(15_866_192);
  });

  it('costs what the paper counts, per token and without scores, scan and convolution', () => {
    const context = contextOf(768, 1);
    const block = routed(branches, { strategy: 'fa' });
    const scores = 4 * 768;
    expect(branchFlops(block, 0, 1, context) - scores).toBe(12_386_304);
    const scan = 9 * 1536 * 16 + 2 * 1536;
    const convolution = 2 * 4 * 1536;
    expect(branchFlops(block, 1, 1, context) - scan - convolution).toBe(16_908_288);
  });

  it('balances 577 of 1024 tokens to attention', () => {
    const { blocks } = build([routed(branches, { strategy: 'fa' })], 768, 1024);
    expect(blocks).toMatchObject([{ strategy: 'fa', branches: [{ tokens: 577 }, { tokens: 447 }] }]);
  });
});

describe('layers', () => {
  it('are numbered through plain groups, with their parameters under their paths', () => {
    const term: Block = {
      kind: 'term',
      layers: [layer('attention', { heads: 2 }), layer('mlp', {}), layer('mlp', {})],
    };
    const built = build(
      [{ kind: 'sequence', items: [term, { kind: 'term', layers: [layer('mlp', {})] }] }, term],
      8,
      4,
    );
    const names = built.context.parameters.specs.map(({ name }) => name);
    expect(names).toContain('blocks.0.attention.norm.weight');
    expect(names).toContain('blocks.0.attention.query.weight');
    expect(names).toContain('blocks.0.mlp.down.weight');
    expect(names).toContain('blocks.0.mlp2.down.weight');
    expect(names).toContain('blocks.1.mlp.gate.weight');
    expect(names).toContain('blocks.2.attention.output.weight');
  });

  it('start their residual outputs smaller, and decay matrices only', () => {
    const built = build([parallel(small)], 8, 4);
    const spec = (name: string) =>
      built.context.parameters.specs.find((candidate) => candidate.name === name);
    const residual = { kind: 'normal', deviation: 0.01 };
    expect(spec('blocks.0.branch0.attention.output.weight')).toMatchObject({
      initializer: residual,
      decay: true,
    });
    expect(spec('blocks.0.branch0.mlp.down.weight')).toMatchObject({ initializer: residual });
    expect(spec('blocks.0.fusion.branch1.weight')).toMatchObject({ initializer: residual });
    expect(spec('blocks.0.final.output.weight')).toMatchObject({ initializer: residual });
    expect(spec('blocks.0.branch0.attention.query.weight')).toMatchObject({
      initializer: { deviation: 0.02 },
    });
    for (const name of ['aLog', 'd', 'dt.bias', 'convolution.weight', 'convolution.bias', 'bNorm.weight']) {
      expect(spec(`blocks.0.branch1.mamba1.${name}`), name).toMatchObject({ decay: false });
    }
  });

  it('name the layer and the option when an option does not fit the width', () => {
    const blocks: Block[] = [{ kind: 'term', layers: [layer('attention', { heads: 3 })] }];
    expect(() => build(blocks, 8, 4)).toThrow(
      /blocks\.0\.attention: 'heads' is 3, which does not divide the width 8/,
    );
  });
});

describe('parallel blocks', () => {
  it('put each branch in its own lane', () => {
    const { graph } = build([parallel(small)], 8, 4);
    const lanes = new Map(graph.nodes.map((node) => [node.path.split('.').slice(0, 3).join('.'), node.lane]));
    expect(lanes.get('blocks.0.branch0')).toEqual({ group: 'blocks.0', index: 0 });
    expect(lanes.get('blocks.0.branch1')).toEqual({ group: 'blocks.0', index: 1 });
    expect(lanes.get('blocks.0.fusion')).toBeUndefined();
    expect(lanes.get('blocks.0.final')).toBeUndefined();
  });

  it('share one norm among bare mixers, and have no final projection', () => {
    const bare: Block[] = [
      { kind: 'term', layers: [layer('attention', { heads: 2 })] },
      { kind: 'term', layers: [layer('mamba1', {})] },
    ];
    const plain = build([parallel(bare, { type: 'sum', norm: false })], 8, 4);
    const names = plain.context.parameters.specs.map(({ name }) => name);
    expect(names.filter((name) => name.endsWith('norm.weight'))).toEqual(['blocks.0.norm.weight']);
    expect(names.some((name) => name.includes('final'))).toBe(false);
    const normed = build([parallel(bare, { type: 'mean', norm: true })], 8, 4);
    expect(count(normed, 'blocks.0.branch0.attention.outputNorm')).toBe(8);
    expect(count(normed, 'blocks.0.branch1.mamba1.outputNorm')).toBe(16);
  });

  const hymba: Block[] = [
    { kind: 'term', layers: [layer('attention', { heads: 2, headDim: 8 })] },
    { kind: 'term', layers: [layer('mamba1', {})] },
  ];

  it('project bare mixers together after the fusion, where asked for', () => {
    const fusion: Fusion = { type: 'mean', norm: true, scale: true, projection: 'joint' };
    const { context } = build([parallel(hymba, fusion)], 8, 4);
    const shapes = new Map(context.parameters.specs.map(({ name, shape }) => [name, shape]));
    for (const branch of ['branch0.attention', 'branch1.mamba1']) {
      expect(shapes.get(`blocks.0.${branch}.outputNorm.weight`)).toEqual([16]);
      expect(shapes.get(`blocks.0.${branch}.outputScale.weight`)).toEqual([16]);
      expect(shapes.has(`blocks.0.${branch}.output.weight`)).toBe(false);
    }
    expect(shapes.get('blocks.0.fusion.output.weight')).toEqual([8, 16]);
  });

  it('concatenate inner features of different widths', () => {
    const wide: Block = { kind: 'term', layers: [layer('attention', { heads: 2 })] };
    const joint = parallel([wide, hymba[1]], { ...complete, projection: 'joint' });
    const { context } = build([joint], 8, 4);
    const shapes = new Map(context.parameters.specs.map(({ name, shape }) => [name, shape]));
    expect(shapes.get('blocks.0.fusion.branch0.weight')).toEqual([8, 8]);
    expect(shapes.get('blocks.0.fusion.branch1.weight')).toEqual([8, 16]);
    const added = parallel([wide, hymba[1]], { type: 'sum', norm: false, projection: 'joint' });
    expect(() => build([added], 8, 4)).toThrow(/with 8 and 16 features, which must be equal/);
    const split = routed([wide, hymba[1]], { strategy: 'ae' });
    expect(() => build([{ ...split, fusion: joint.fusion }], 8, 4)).toThrow(/8 and 16 features/);
    expect(() => build([parallel(small, joint.fusion)], 8, 4)).toThrow(/branches are complete layers/);
  });

  it('scale complete layers by learned factors, beside a norm or without', () => {
    for (const norm of [false, true]) {
      const { context } = build([parallel(small, { type: 'sum', norm, scale: true })], 8, 4);
      const names = context.parameters.specs.map(({ name }) => name);
      expect(names).toContain('blocks.0.branch1.scale.weight');
      expect(names.includes('blocks.0.branch1.norm.weight')).toBe(norm);
    }
  });

  it('take any number of branches', () => {
    const three = [...hymba, hymba[0]];
    for (const type of ['concat-project', 'sum', 'mean']) {
      const { graph, blocks } = build([parallel(three, { type, norm: false })], 8, 4);
      expect(blocks[0].branches).toHaveLength(3);
      expect(new Set(graph.nodes.map(({ lane }) => lane?.index))).toEqual(new Set([undefined, 0, 1, 2]));
    }
  });

  it('refuse a mixture of bare mixers and complete layers', () => {
    const mixed = [small[0], { kind: 'term', layers: [layer('mamba1', {})] } as const];
    expect(() => build([parallel(mixed)], 8, 4)).toThrow(/some branches are bare mixers/);
  });
});

describe('routed blocks', () => {
  const chunks = (options: Partial<Routing> = {}) =>
    routed(small, { strategy: 'chunks', chunk: 2, ...options });

  it('gather once, call each branch once and scatter once', () => {
    const { graph, blocks } = build([chunks(), chunks()], 8, 20);
    const counts = (name: string) => graph.nodes.filter((node) => node.operation.name === name).length;
    expect(counts('attention')).toBe(2);
    expect(counts('selectiveScan')).toBe(2);
    expect(counts('splitPositions')).toBe(2);
    expect(counts('mergePositions')).toBe(2);
    expect(blocks.map(({ ratio }) => ratio)).toEqual([0.6, 0.6]);
  });

  it('number routed blocks apart from other layers', () => {
    const mlp: Block = { kind: 'term', layers: [layer('mlp', {})] };
    const { graph } = build([mlp, chunks(), mlp, chunks()], 8, 4);
    const lengths = graph.nodes
      .filter((node) => node.operation.name === 'attention')
      .map((node) => node.outputs[0]);
    // Blocks 0 and 1 of the pattern AAASS: AA and AA of the first two chunks.
    expect(lengths.map((out) => out.shape[1])).toEqual([4, 4]);
    const later = build([mlp, chunks(), mlp, chunks()], 8, 2, { start: 4 });
    const built = later.graph.nodes.map((node) => node.operation.name);
    // Chunk 2: A in the first routed block, S in the second.
    expect(built.filter((name) => name === 'attention')).toHaveLength(1);
    expect(built.filter((name) => name === 'selectiveScan')).toHaveLength(1);
  });

  it('do not build a branch without positions, but keep its parameters and states', () => {
    const one = build([chunks()], 8, 1, { start: 0, states: { capacity: 20 } });
    const all = build([chunks()], 8, 20, { start: 0, states: { capacity: 20 } });
    expect(one.graph.nodes.some((node) => node.operation.name === 'selectiveScan')).toBe(false);
    expect(one.graph.nodes.some((node) => node.operation.name === 'splitPositions')).toBe(false);
    const names = ({ context }: Built) => context.parameters.specs.map(({ name }) => name).sort();
    expect(names(one)).toEqual(names(all));
    const states = ({ states }: Built) => [...states].sort((a, b) => a.name.localeCompare(b.name));
    expect(states(one)).toEqual(states(all));
    expect(one.graph.assignments.size).toBe(3);
    expect(all.graph.assignments.size).toBe(5);
  });

  it('size the caches of a branch by the positions that are routed to it', () => {
    const { states } = build([chunks()], 8, 4, { start: 0, states: { capacity: 20 } });
    expect(states.find(({ name }) => name === 'blocks.0.branch0.attention.keys')?.shape).toEqual([
      1,
      12,
      4 / 4,
      2,
    ]);
  });

  it.each(['ae', 'fa', 'fac', 'fa-code', 'fac-code'])('%s refuses states', (strategy) => {
    const block = routed(small, { strategy });
    expect(() => build([block], 8, 4, { start: 0, states: { capacity: 8 } })).toThrow(
      /splits a row by its length/,
    );
    expect(build([block], 8, 1).blocks).toHaveLength(1);
  });

  it('take a given ratio as it is', () => {
    const { blocks } = build([routed(small, { strategy: 'fa', ratio: 0.25 })], 8, 8);
    expect(blocks).toMatchObject([{ ratio: 0.25, branches: [{ tokens: 2 }, { tokens: 6 }] }]);
  });

  it('refuse to stand inside a routed branch, three branches, and options that do not go together', () => {
    const nested = routed([chunks(), small[1]], { strategy: 'ae' });
    expect(() => build([nested], 8, 8)).toThrow(/inside a branch of a routed block/);
    expect(() => build([routed([...small, small[0]], { strategy: 'ae' })], 8, 8)).toThrow(
      /'ae' routes between 2 branches at the most; .* has 3/,
    );
    expect(() => build([routed(small, { strategy: 'ae', ratio: 0.3 })], 8, 8)).toThrow(
      /routing\.ratio is 0\.3/,
    );
  });
});
