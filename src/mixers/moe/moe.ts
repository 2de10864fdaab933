/**
 * A mixture of experts as channel mixer: every token goes through a few of many small MLPs; see README.md. Shapes: B batch,
 * L length, T = B · L tokens, D width, E experts, k experts per token, F hidden features of one expert.
 */
import { z } from 'zod';
import type { Tensor } from '../../graph/index.ts';
import type { LayerContext } from '../../nn/index.ts';
import { fixedTensor, linear, outputProjection, parameter } from '../../nn/index.ts';
import {
  activation,
  add,
  balanceBias,
  gatherColumns,
  gatherRows,
  groupedMatmul,
  groupTokens,
  reshape,
  scatterRows,
  softmax,
  topK,
} from '../../ops/index.ts';
import { defaultHidden, hiddenKind, hiddenUnits } from '../hiddenUnits.ts';
import type { OptionIssue } from '../layer.ts';
import { defineLayer } from '../layer.ts';

const options = z.strictObject({
  /** E */
  experts: z.int().positive().default(8),
  /** k */
  chosen: z.int().positive().default(2),
  /** F. Not given: what an MLP of this kind would have. */
  width: z.int().positive().optional(),
  kind: hiddenKind.default('swiglu'),
  /** How scores become weights: over all experts, or each by itself. */
  router: z.enum(['softmax', 'sigmoid']).default('softmax'),
  /** Hidden features of an expert that every token goes through; 0: there is none. */
  shared: z.int().nonnegative().default(0),
  /** Step of the bias that balances the experts; 0: no bias. Not given: 0.001 with the sigmoid router, else 0. */
  balance: z.number().nonnegative().optional(),
});

type Options = z.infer<typeof options>;

/** Bae et al. 2025, after Wang et al. 2024. */
const usualBalance = 1e-3;

function check({ experts, chosen }: Options): OptionIssue[] {
  if (chosen <= experts) return [];
  const message = `is ${chosen}, but there are ${experts} experts; choose at most ${experts}.`;
  return [{ option: 'chosen', message }];
}

/** Which experts each token goes through, and what each counts: index [T, k] int32, weights [T, k]. */
interface Choice {
  readonly index: Tensor;
  readonly weights: Tensor;
  /** The tensor that shifts the choice, where there is one. */
  readonly bias: Tensor | undefined;
}

function choose(x: Tensor, given: Options, context: LayerContext): Choice {
  const { experts, chosen, router } = given;
  const logits = linear(x, 'router', experts, context);
  const scores = router === 'softmax' ? softmax(logits) : activation(logits, { kind: 'sigmoid' });
  const bias =
    balanceOf(given) > 0
      ? fixedTensor(context, 'balance', [experts], { kind: 'constant', value: 0 })
      : undefined;
  const index = topK(scores, bias, { k: chosen });
  return { index, weights: gatherColumns(scores, index), bias };
}

function balanceOf({ router, balance = router === 'sigmoid' ? usualBalance : 0 }: Options): number {
  return balance;
}

/** Σ over the chosen experts of weight · expert(x): [T, D]. */
function mixExperts(
  x: Tensor,
  { index, weights, bias }: Choice,
  given: Options,
  context: LayerContext,
): Tensor {
  const { experts, chosen, kind } = given;
  const { width, deviation, residualDeviation } = context;
  const hidden = given.width ?? defaultHidden(kind, width);
  const { order, offsets, load } = groupTokens(index, { experts });
  if (bias) {
    const rate = balanceOf(given);
    context.adaptations?.push({
      target: bias,
      observed: load,
      rule: (from, total) => balanceBias(from, total, { rate }),
    });
  }

  const rows = gatherRows(x, order, { repeat: chosen });
  const weight = (name: string, outputs: number, inputs: number, start: number): Tensor =>
    parameter(context, `${name}.weight`, [experts, outputs, inputs], { kind: 'normal', deviation: start });
  const inner = hiddenUnits(kind, (name) =>
    groupedMatmul(rows, weight(name, hidden, width, deviation), offsets),
  );
  const down = groupedMatmul(inner, weight('down', width, hidden, residualDeviation), offsets);
  return scatterRows(down, order, weights, { repeat: chosen });
}

function forward(input: Tensor, given: Options, context: LayerContext): Tensor {
  const { batch, length, width, residual, graph } = context;
  const x = reshape(input, [batch * length, width]);
  const choice = choose(x, given, context);
  const experts = graph.scope('experts', () => mixExperts(x, choice, given, context));
  const mixed = reshape(experts, [batch, length, width]);
  const stream = residual ? add(residual, mixed) : mixed;
  if (given.shared === 0) return stream;
  return graph.scope('shared', () => {
    const inner = hiddenUnits(given.kind, (name) => linear(input, name, given.shared, context));
    return outputProjection(inner, { ...context, residual: stream }, 'down');
  });
}

export const moe = defineLayer<Options>({
  name: 'moe',
  kind: 'channel',
  summary: 'mixture of experts: softmax or sigmoid router, with or without a shared expert',
  options,
  check,
  states: () => [],
  meaning: (given, width) => ({
    ...given,
    width: given.width ?? defaultHidden(given.kind, width),
    balance: balanceOf(given),
  }),
  needsPositions: () => false,
  forward(x, given, context, state) {
    const output = forward(x, given, context);
    return state ? { output, state: {} } : { output };
  },
  conformance: [
    {
      label: 'softmax router',
      width: 4,
      options: options.parse({ experts: 4, chosen: 2, width: 5 }),
      lengths: [5],
    },
    {
      label: 'sigmoid router, balanced, with a shared expert',
      width: 4,
      options: options.parse({ experts: 3, chosen: 1, width: 3, router: 'sigmoid', shared: 6 }),
      lengths: [7],
    },
    {
      label: 'squared ReLU, all experts',
      width: 3,
      options: options.parse({ experts: 2, chosen: 2, width: 4, kind: 'relu2' }),
      lengths: [3],
    },
  ],
});
