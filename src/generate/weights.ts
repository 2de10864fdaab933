/**
 * The copies of weights that generation reads, made when a program first needs them: BF16, or 8 or 4 bits. Programs of other
 * routes and lengths read copies of other weights, so each is made once, by name.
 */
import type { QuantizedWeight } from '../compiler/index.ts';
import { compile, quantizedSources } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import type { ModelConfig } from '../models/config.ts';
import type { ParameterSpec } from '../nn/index.ts';
import { dequantizeWeight, quantizeWeight } from '../ops/index.ts';
import type { Executor, Store } from '../runtime/index.ts';
import { refreshShadows } from '../train/index.ts';
import { pieceProgram } from './program.ts';
import type { WeightFormat } from './weightFormat.ts';

/** Where weights are, and what works on them. */
export interface WeightHome {
  readonly threads: number;
  readonly executor: Executor;
  readonly store: Store;
}

/** What a program reads that is made from parameters. */
export interface WeightNeeds {
  readonly shadows: readonly ParameterSpec[];
  readonly quantized: readonly QuantizedWeight[];
}

export class WeightCopies {
  readonly #home: WeightHome;
  readonly #made = new Set<string>();

  constructor(home: WeightHome) {
    this.#home = home;
  }

  async make({ shadows, quantized }: WeightNeeds): Promise<void> {
    const { threads, executor, store } = this.#home;
    const isNew = ({ name }: { readonly name: string }): boolean => !this.#made.has(name);
    await refreshShadows(shadows.filter(isNew), threads, executor, store);
    await quantize(quantized.filter(isNew), this.#home);
    for (const { name } of [...shadows, ...quantized]) this.#made.add(name);
  }
}

async function quantize(weights: readonly QuantizedWeight[], home: WeightHome): Promise<void> {
  await runOnWeights(weights, home, (graph, weight) => {
    const parameter = graph.source('parameter', weight.name, weight.shape);
    const { packed, scales } = quantizeWeight(parameter, weight);
    const target = quantizedSources(graph, weight);
    graph.assign(target.packed, packed);
    graph.assign(target.scales, scales);
  });
}

/**
 * Replaces parameters by what `format` can express of them, so that any evaluation of the model shows what generation
 * with such weights loses. `length` is that of a sequence in which every branch has tokens.
 */
export async function roundWeights(
  { model, ...home }: WeightHome & { readonly model: ModelConfig },
  format: WeightFormat,
  length: number,
): Promise<void> {
  const { threads } = home;
  const options = { length, start: 0, precision: 'float32', weights: format, threads } as const;
  const { quantized } = pieceProgram(model, options);
  await runOnWeights(quantized, home, (graph, weight) => {
    const parameter = graph.source('parameter', weight.name, weight.shape);
    const { packed, scales } = quantizeWeight(parameter, weight);
    graph.assign(parameter, dequantizeWeight(packed, scales, weight));
  });
}

/** One program per weight: together their temporaries would be as large as the model. */
async function runOnWeights(
  weights: readonly QuantizedWeight[],
  { threads, executor, store }: WeightHome,
  build: (graph: Graph, weight: QuantizedWeight) => void,
): Promise<void> {
  for (const weight of weights) {
    const graph = new Graph();
    build(graph, weight);
    const program = executor.load(compile(graph, { name: `few bits of ${weight.name}`, threads }), store);
    await program.run();
    program.dispose();
  }
}
