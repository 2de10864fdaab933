/**
 * What the laws are tested on: every layer of the registry in each of its declared cases, and blocks made of them with
 * every fusion and every routing strategy. A new registry entry becomes a subject by itself.
 */
import type { Block, Fusion, LayerChoice, Routing } from '../../src/blocks/index.ts';
import { buildBlocks, fusions, routingStrategies } from '../../src/blocks/index.ts';
import type { Graph, Tensor } from '../../src/graph/index.ts';
import type { RegisteredLayer } from '../../src/mixers/index.ts';
import { layers } from '../../src/mixers/index.ts';
import { testContext } from '../../src/mixers/testing.ts';
import type { ParameterSpec } from '../../src/nn/index.ts';

/** What a subject is built for. */
export interface Setup {
  readonly batch: number;
  readonly length: number;
  readonly documents?: boolean;
  /** Position in the row of the first token. */
  readonly start?: number;
  /** Carry states with room for so many tokens. */
  readonly capacity?: number;
}

/** A subject in a graph: `x` [B, L, D] → `y` [B, L, D], states before and after by name. */
export interface Built {
  readonly graph: Graph;
  readonly x: Tensor;
  readonly y: Tensor;
  readonly parameters: readonly ParameterSpec[];
  readonly before: ReadonlyMap<string, Tensor>;
  readonly after: ReadonlyMap<string, Tensor>;
}

export interface Subject {
  readonly label: string;
  readonly width: number;
  /** Lengths worth testing beside 1, 2 and 3. */
  readonly lengths: readonly number[];
  /** False where the split of a row depends on its length: no states, no pieces, no packing. */
  readonly prefixStable: boolean;
  /** False where documents see something of each other, so that a packed one differs from the same one alone. */
  readonly packs: boolean;
  build(setup: Setup): Built;
}

function layerSubject(layer: RegisteredLayer, test: RegisteredLayer['conformance'][number]): Subject {
  const { width, options, before: earlier, crossesDocuments = false } = test;
  const label = `${layer.name}: ${test.label}`;
  const kind = { width, packs: !crossesDocuments };
  if (earlier) {
    const blocks = [...earlier, options].map((given): Block => {
      const choice = { name: layer.name, type: layer.name, options: given as Record<string, unknown> };
      return { kind: 'term', layers: [choice] };
    });
    return blockSubject(label, blocks, test.lengths, kind);
  }
  return {
    ...{ ...kind, label, lengths: test.lengths, prefixStable: true },
    build(setup) {
      const context = testContext({ width, ...setup });
      const { batch, length, documents = false, capacity } = setup;
      const x = context.graph.source('input', 'x', [batch, length, width]);
      const before = new Map<string, Tensor>();
      if (capacity !== undefined) {
        for (const spec of layer.states(options, { batch, width, capacity, documents })) {
          before.set(spec.name, context.graph.source('state', spec.name, spec.shape, spec.dtype));
        }
      }
      const state = capacity === undefined ? undefined : Object.fromEntries(before);
      const result = layer.forward(x, options, context, state);
      const after = new Map(Object.entries(result.state ?? {}));
      return {
        graph: context.graph,
        x,
        y: result.output,
        parameters: context.parameters.specs,
        before,
        after,
      };
    },
  };
}

function blockSubject(
  label: string,
  blocks: readonly Block[],
  lengths: readonly number[],
  kind: Partial<Pick<Subject, 'width' | 'prefixStable' | 'packs'>> = {},
): Subject {
  const { width = blockWidth, prefixStable = true, packs = true } = kind;
  return {
    ...{ label, width, lengths, prefixStable, packs },
    build(setup) {
      const context = testContext({ width, ...setup });
      const { graph } = context;
      const { batch, length, start = 0, capacity } = setup;
      const x = graph.source('input', 'x', [batch, length, width]);
      const states = capacity === undefined ? undefined : { capacity };
      const { stream } = buildBlocks(x, blocks, context, { start, states });
      const assigned = [...graph.assignments];
      graph.assignments.clear();
      return {
        graph,
        x,
        y: stream,
        parameters: context.parameters.specs,
        before: new Map(assigned.map(([source]) => [source.name, source])),
        after: new Map(assigned.map(([source, value]) => [source.name, value])),
      };
    },
  };
}

const blockWidth = 8;

/** Each layer in the first of its declared cases that fits the width of the blocks. */
function choices(kind: 'mixer' | 'channel'): LayerChoice[] {
  return layers
    .filter((layer) => layer.kind === kind || layer.kind === 'both')
    .map((layer) => {
      const fitting = layer.conformance.find(({ options }) => layer.check(options, blockWidth).length === 0);
      if (!fitting) throw new Error(`No case of '${layer.name}' fits the width ${blockWidth}.`);
      return { name: layer.name, type: layer.name, options: fitting.options as Record<string, unknown> };
    });
}

const mixers = choices('mixer');
const channels = choices('channel');
const [channel] = channels;
const bare = (mixer: LayerChoice): Block => ({ kind: 'term', layers: [mixer] });
const complete = (mixer: LayerChoice): Block => ({ kind: 'term', layers: [mixer, channel] });

/** Every mixer with the next of another type, so that each stands in a first branch and beside another. */
const pairs = mixers.map((mixer, index) => {
  const others = [...mixers.slice(index + 1), ...mixers].filter(({ type }) => type !== mixer.type);
  return [mixer, others[0]] as const;
});
const [firstPair] = pairs;

const plain: Fusion = { type: 'concat-project', norm: false };
/** Patterns of short chunks, so that small rows meet every kind of boundary. */
const options: Readonly<Record<string, Partial<Routing>>> = { chunks: { chunk: 2 } };

function routed(pair: readonly LayerChoice[], strategy: string, fusion = plain, of = complete): Block {
  const routing: Routing = { strategy, balance: 'flops', ...options[strategy] };
  return { kind: 'routed', branches: pair.map(of), channels: [], fusion, routing };
}

export const layerSubjects: readonly Subject[] = layers.flatMap((layer) =>
  layer.conformance.map((test) => layerSubject(layer, test)),
);

export const blockSubjects: readonly Subject[] = [
  // Two at a time: rounding adds up along a sequence, and its length must not depend on how many mixers there are.
  ...pairs.map((pair) =>
    blockSubject(
      `sequence ${pair.map(({ name }) => name).join(' ')}`,
      [{ kind: 'sequence', items: pair.map(complete) }],
      [9],
    ),
  ),
  blockSubject(
    'every channel mixer after a mixer',
    [{ kind: 'term', layers: [mixers[0], ...channels] }],
    [5],
  ),
  ...pairs.map((pair) =>
    blockSubject(
      `parallel ${pair.map(({ name }) => name).join(' & ')} with a channel mixer after it`,
      [
        {
          kind: 'parallel',
          branches: pair.map(bare),
          channels: [channel],
          fusion: { type: 'sum', norm: false },
        },
      ],
      [9],
    ),
  ),
  ...fusions.map(({ name, adds }) =>
    blockSubject(
      `fusion ${name}, one projection for three scaled branches`,
      [
        {
          kind: 'parallel',
          branches: [...(adds ? [mixers[0], mixers[0]] : firstPair), mixers[0]].map(bare),
          channels: [],
          fusion: { type: name, norm: adds, scale: true, projection: 'joint' },
        },
      ],
      [5],
    ),
  ),
  ...fusions.flatMap(({ name }) =>
    [false, true].flatMap((norm) => [
      blockSubject(
        `fusion ${name}${norm ? ' with norms' : ''} of complete layers`,
        [
          {
            kind: 'parallel',
            branches: firstPair.map(complete),
            channels: [],
            fusion: { type: name, norm, scale: norm },
          },
        ],
        [5],
      ),
      blockSubject(
        `fusion ${name}${norm ? ' with norms' : ''} of bare mixers`,
        [
          {
            kind: 'parallel',
            branches: firstPair.map(bare),
            channels: [],
            fusion: { type: name, norm, final: norm },
          },
        ],
        [5],
      ),
    ]),
  ),
  ...routingStrategies.flatMap(({ name, prefixStable }) => [
    blockSubject(
      `strategy ${name} in two blocks of complete layers`,
      [routed(firstPair, name), complete(mixers[0]), routed(firstPair, name)],
      [5, 8, 13],
      { prefixStable },
    ),
    blockSubject(
      `strategy ${name} of bare mixers, summed with norms`,
      [routed(firstPair, name, { type: 'sum', norm: true }, bare)],
      [7],
      { prefixStable },
    ),
  ]),
  blockSubject('chunks of three branches', [routed(mixers.slice(0, 3), 'chunks')], [13]),
  ...pairs.map((pair) =>
    blockSubject(`chunks of ${pair.map(({ name }) => name).join(' | ')}`, [routed(pair, 'chunks')], [11]),
  ),
];

export const subjects: readonly Subject[] = [...layerSubjects, ...blockSubjects];
