/**
 * How tokens choose experts (Shazeer et al. 2017, arXiv:1701.06538). The k best are chosen by score plus bias; weights are
 * read from the scores alone, so that the bias balances load without touching the output (Wang et al. 2024,
 * arXiv:2408.15664). No token is dropped.
 */
import type { Tensor } from '../graph/index.ts';
import { BraidError, defineOperation, elementCount, graphOf } from '../graph/index.ts';
import { elementwiseCost } from './cost.ts';
import { operand } from './plain.ts';
import {
  FLOAT32,
  INT32,
  optionalInput,
  requireFinite,
  requireInput,
  requirePositiveInteger,
  requireRank,
  requireShape,
} from './require.ts';

const topKOperation = defineOperation<{ readonly k: number }>({
  name: 'topK',
  infer(inputs, { k }, fail) {
    const scores = requireInput(inputs, 0, 'scores', FLOAT32, fail);
    requireRank(scores, 'scores', '[T, E]', 2, fail);
    const [tokens, experts] = scores.shape;
    const bias = optionalInput(inputs, 1, 'bias', FLOAT32, fail);
    if (bias) requireShape(bias, [experts], 'bias', fail);
    requirePositiveInteger(k, 'k', fail);
    if (k > experts) return fail(`k is ${k}, but there are only ${experts} experts to choose from.`);
    return [{ shape: [tokens, k], dtype: 'int32' }];
  },
  cost: (inputs, outputs, { k }) =>
    elementwiseCost(k * (inputs[0] ? elementCount(inputs[0].shape) : 0), inputs, outputs),
  evaluate(inputs, [index], { k }) {
    if (!index) return;
    const scores = operand(inputs, 0);
    const bias = inputs[1]?.values;
    const [tokens, experts] = scores.shape;
    for (let token = 0; token < tokens; token++) {
      const chosen = index.values.subarray(token * k, (token + 1) * k);
      const value = (expert: number): number =>
        scores.values[token * experts + expert] + (bias?.[expert] ?? 0);
      for (let rank = 0; rank < k; rank++) {
        const taken = chosen.subarray(0, rank);
        let best = -1;
        for (let expert = 0; expert < experts; expert++) {
          if (taken.includes(expert)) continue;
          if (best < 0 || value(expert) > value(best)) best = expert;
        }
        chosen[rank] = best;
      }
    }
  },
});

/**
 * The `k` experts with the highest scores[T, E] + bias[E] of every token, best first; of equal ones the lower. Returns
 * int32 [T, k], without repetition whatever the scores are. The choice has no gradient.
 */
export function topK(scores: Tensor, bias: Tensor | undefined, { k }: { readonly k: number }): Tensor {
  return scores.graph.apply(topKOperation, [scores, bias], { k })[0];
}

function requireColumn(column: number, columns: number, operation: string): void {
  if (column >= 0 && column < columns) return;
  throw new BraidError('data', `${operation}: expert ${column} is outside [0, ${columns}).`);
}

const gatherColumnsOperation = defineOperation({
  name: 'gatherColumns',
  infer(inputs, _, fail) {
    const x = requireInput(inputs, 0, 'x', FLOAT32, fail);
    const index = requireInput(inputs, 1, 'index', INT32, fail);
    requireRank(x, 'x', '[T, E]', 2, fail);
    requireRank(index, 'index', '[T, k]', 2, fail);
    requireShape(index, [x.shape[0], index.shape[1]], 'index', fail);
    return [{ shape: index.shape, dtype: 'float32' }];
  },
  gradient: ({ inputs: [x, index] }, [dy]) =>
    x && index && dy ? [gatherColumnsBackward(dy, index, { columns: x.shape[1] }), undefined] : [],
  cost: (inputs, outputs) => elementwiseCost(0, inputs, outputs),
  evaluate(inputs, [y]) {
    if (!y) return;
    const x = operand(inputs, 0);
    const columns = x.shape[1];
    const chosen = y.shape[1];
    operand(inputs, 1).values.forEach((column: number, at: number) => {
      requireColumn(column, columns, 'gatherColumns');
      y.values[at] = x.values[Math.floor(at / chosen) * columns + column];
    });
  },
});

/** y[t, j] = x[t, index[t, j]]: x[T, E], index[T, k] int32 → [T, k]. */
export function gatherColumns(x: Tensor, index: Tensor): Tensor {
  return graphOf([x, index]).apply(gatherColumnsOperation, [x, index], {})[0];
}

const gatherColumnsBackwardOperation = defineOperation<{ readonly columns: number }>({
  name: 'gatherColumnsBackward',
  infer(inputs, { columns }, fail) {
    const dy = requireInput(inputs, 0, 'dy', FLOAT32, fail);
    const index = requireInput(inputs, 1, 'index', INT32, fail);
    requireRank(dy, 'dy', '[T, k]', 2, fail);
    requireShape(index, dy.shape, 'index', fail);
    requirePositiveInteger(columns, 'columns', fail);
    return [{ shape: [dy.shape[0], columns], dtype: 'float32' }];
  },
  cost: (inputs, outputs) => elementwiseCost(0, inputs, outputs),
  evaluate(inputs, [dx], { columns }) {
    if (!dx) return;
    const dy = operand(inputs, 0);
    const chosen = dy.shape[1];
    dx.values.fill(0);
    operand(inputs, 1).values.forEach((column: number, at: number) => {
      requireColumn(column, columns, 'gatherColumnsBackward');
      dx.values[Math.floor(at / chosen) * columns + column] += dy.values[at];
    });
  },
});

/** The gradient of `gatherColumns`: dx[T, columns] is zero where nothing was gathered. */
export function gatherColumnsBackward(
  dy: Tensor,
  index: Tensor,
  { columns }: { readonly columns: number },
): Tensor {
  return graphOf([dy, index]).apply(gatherColumnsBackwardOperation, [dy, index], { columns })[0];
}

const groupTokensOperation = defineOperation<{ readonly experts: number }>({
  name: 'groupTokens',
  infer(inputs, { experts }, fail) {
    const index = requireInput(inputs, 0, 'index', INT32, fail);
    requireRank(index, 'index', '[T, k]', 2, fail);
    requirePositiveInteger(experts, 'experts', fail);
    return [
      { shape: [elementCount(index.shape)], dtype: 'int32' },
      { shape: [experts + 1], dtype: 'int32' },
      { shape: [experts], dtype: 'float32' },
    ];
  },
  cost: (inputs, outputs) => elementwiseCost(0, inputs, outputs),
  evaluate(inputs, [order, offsets, load], { experts }) {
    const index = operand(inputs, 0).values;
    const ends = new Int32Array(experts + 1);
    index.forEach((expert: number) => {
      requireColumn(expert, experts, 'groupTokens');
      ends[expert + 1]++;
    });
    load?.values.set(ends.subarray(1));
    for (let expert = 0; expert < experts; expert++) ends[expert + 1] += ends[expert];
    offsets?.values.set(ends);
    if (!order) return;
    const next = ends.slice();
    index.forEach((expert: number, at: number) => {
      order.values[next[expert]++] = at;
    });
  },
});

/**
 * Orders the choices index[T, k] by expert, then by token. `order` [T·k] int32: row r of the grouped rows is choice
 * order[r], which belongs to token ⌊order[r] / k⌋. `offsets` [E + 1] int32: the rows of expert e are offsets[e] up to
 * offsets[e + 1]; the first is 0, the last T·k. `load` [E] float32: how many rows each expert got. None has a gradient.
 */
export function groupTokens(
  index: Tensor,
  { experts }: { readonly experts: number },
): { order: Tensor; offsets: Tensor; load: Tensor } {
  const [order, offsets, load] = index.graph.apply(groupTokensOperation, [index], { experts });
  return { order, offsets, load };
}

const balanceBiasOperation = defineOperation<{ readonly rate: number }>({
  name: 'balanceBias',
  infer(inputs, { rate }, fail) {
    const bias = requireInput(inputs, 0, 'bias', FLOAT32, fail);
    requireRank(bias, 'bias', '[E]', 1, fail);
    requireShape(requireInput(inputs, 1, 'load', FLOAT32, fail), bias.shape, 'load', fail);
    requireFinite(rate, 'rate', fail);
    return [{ shape: bias.shape, dtype: 'float32' }];
  },
  cost: (inputs, outputs) => elementwiseCost(3 * elementCount(outputs[0].shape), inputs, outputs),
  evaluate(inputs, [next], { rate }) {
    if (!next) return;
    const bias = operand(inputs, 0).values;
    const load = operand(inputs, 1).values;
    let total = 0;
    for (const rows of load) total += rows;
    const mean = total / load.length;
    for (let expert = 0; expert < bias.length; expert++) {
      next.values[expert] = bias[expert] + rate * Math.sign(mean - load[expert]);
    }
  },
  inPlace: [[0, 0]],
});

/**
 * One step of balancing without a loss (Wang et al. 2024, arXiv:2408.15664, algorithm 1): the bias[E] of an expert with
 * less load[E] than the mean grows by `rate`, that of one with more falls. It has no gradient.
 */
export function balanceBias(bias: Tensor, load: Tensor, { rate }: { readonly rate: number }): Tensor {
  return graphOf([bias, load]).apply(balanceBiasOperation, [bias, load], { rate })[0];
}
