/**
 * Causal attention with grouped key-value heads (Vaswani et al. 2017; Ainslie et al. 2023), within documents, over a
 * whole row or over a piece of it and a cache. The gradient recomputes the weights from the log-sum-exp of the scores
 * (Dao et al. 2022, section 3 and appendix B), so that no L × S matrix is ever kept.
 */
import type { FloatValues, Operand, Shape, Tensor, TensorType } from '../graph/index.ts';
import { BraidError, defineOperation } from '../graph/index.ts';
import { traffic } from './cost.ts';
import type { Fail, FloatType } from './require.ts';
import { FLOAT32, FLOATS, INT32, requirePositiveInteger } from './require.ts';
import type { StoredApart } from './sequence.ts';
import {
  expectType,
  floatsOf,
  optionalIntegers,
  refuseGradient,
  requireType,
  sizesOf,
  store,
  storedType,
  storedTypes,
} from './sequence.ts';

export interface AttentionInputs {
  /** [B, L, H, E], float32 or bfloat16. */
  readonly q: Tensor;
  /** [B, S, G, E] with G a divisor of H: query head h reads key-value head ⌊h·G/H⌋. float32 or bfloat16. */
  readonly k: Tensor;
  /** [B, S, G, F], float32 or bfloat16. */
  readonly v: Tensor;
  /** [B, L] int32, and [B, S] for the keys: both or neither. Key documents increase along the row. */
  readonly queryDocuments?: Tensor | undefined;
  readonly keyDocuments?: Tensor | undefined;
  /**
   * [B] int32: the entries of each row that were in the cache before the piece was appended. k and v are then caches
   * of capacity S that contain the piece. Without it S = L.
   */
  readonly used?: Tensor | undefined;
}

export interface AttentionOptions extends Partial<Sight> {
  /** Factor of the scores; 1/√E when not given. */
  readonly scale?: number;
  /** How the first output is stored. */
  readonly dtype?: FloatType;
}

/** Which of the keys up to its own a query sees. */
export interface Sight {
  /** The last so many, its own included. Not given: all. */
  readonly window: number | undefined;
  /** The first so many of the row, beside the window, and whatever document they belong to. Not given: 0. */
  readonly sinks: number | undefined;
}

type AttentionAttributes = {
  readonly scale: number;
  readonly window?: number | undefined;
  readonly sinks?: number | undefined;
} & StoredApart;

/** Attributes of a call: those that are not given are left out. */
function sightOf({ window, sinks }: Partial<Sight>): { readonly window?: number; readonly sinks?: number } {
  return { ...(window === undefined ? {} : { window }), ...(sinks === undefined ? {} : { sinks }) };
}

interface Sizes {
  readonly batch: number;
  readonly length: number;
  readonly keys: number;
  readonly heads: number;
  readonly groups: number;
  readonly keySize: number;
  readonly valueSize: number;
}

function sizesOfCall(q: Shape, k: Shape, v: Shape): Sizes {
  const [batch, length, heads, keySize] = q;
  return { batch, length, keys: k[1], heads, groups: k[2], keySize, valueSize: v[3] };
}

/** Checks the first six operands and the attributes, which forward and backward have in common. */
function checkOperands(
  inputs: readonly (TensorType | undefined)[],
  { window, sinks }: AttentionAttributes,
  fail: Fail,
): Sizes {
  if (window !== undefined) requirePositiveInteger(window, 'window', fail);
  if (sinks !== undefined && !(Number.isInteger(sinks) && sinks >= 0)) {
    return fail(`the attribute sinks must be a whole number of at least 0, not ${sinks}.`);
  }
  const [q, k, v, queryDocuments, keyDocuments, used] = inputs;
  const qShape = sizesOf(q, 'q', 'B, L, H, E', fail);
  const kShape = sizesOf(k, 'k', 'B, S, G, E', fail);
  const vShape = sizesOf(v, 'v', 'B, S, G, F', fail);
  const sizes = sizesOfCall(qShape, kShape, vShape);
  const { batch, length, keys, heads, groups, keySize, valueSize } = sizes;
  expectType(q, 'q', qShape, FLOATS, fail);
  expectType(k, 'k', [batch, keys, groups, keySize], FLOATS, fail);
  expectType(v, 'v', [batch, keys, groups, valueSize], FLOATS, fail);
  if (heads % groups !== 0) {
    return fail(`the ${groups} key-value heads do not divide the ${heads} query heads.`);
  }
  if (!queryDocuments !== !keyDocuments) {
    return fail(`'queryDocuments' and 'keyDocuments' must both be given, or neither.`);
  }
  expectType(queryDocuments, 'queryDocuments', [batch, length], INT32, fail);
  expectType(keyDocuments, 'keyDocuments', [batch, keys], INT32, fail);
  expectType(used, 'used', [batch], INT32, fail);
  if (!used && keys !== length) {
    return fail(`there are ${keys} keys for ${length} queries; caches of another length need 'used'.`);
  }
  if (keys < length) return fail(`a cache of ${keys} entries cannot hold the piece of ${length} queries.`);
  return sizes;
}

/** Pairs of query and key, per row and head. Documents do not lower the count: where they lie is not known yet. */
function scoredPairs(
  { length, keys }: Sizes,
  used: TensorType | undefined,
  { window = keys, sinks = 0 }: AttentionAttributes,
): number {
  const reach = Math.min(keys, window + sinks);
  if (used || keys !== length) return length * reach;
  return (reach * (reach + 1)) / 2 + (length - reach) * reach;
}

function typesSizes(inputs: readonly (TensorType | undefined)[]): Sizes {
  const [q, k, v] = inputs;
  return sizesOfCall(q?.shape ?? [], k?.shape ?? [], v?.shape ?? []);
}

/** The operands of a call as the plain meaning reads them, and which key a query sees. */
interface Operands extends Sizes {
  readonly q: FloatValues;
  readonly k: FloatValues;
  readonly v: FloatValues;
  /** The keys that query `i` of row `b` sees, in order. */
  visibleKeys(b: number, i: number): number[];
}

function readOperands(
  inputs: readonly (Operand | undefined)[],
  { window = Number.POSITIVE_INFINITY, sinks = 0 }: AttentionAttributes,
): Operands {
  const sizes = typesSizes(inputs);
  const { length, keys } = sizes;
  const queryDocuments = optionalIntegers(inputs[3], 'queryDocuments');
  const keyDocuments = optionalIntegers(inputs[4], 'keyDocuments');
  const used = optionalIntegers(inputs[5], 'used');
  used?.forEach((count, row) => {
    if (count >= 0 && count + length <= keys) return;
    throw new BraidError(
      'data',
      `attention: row ${row} has ${count} cached entries before a piece of ${length}, which a cache of capacity ` +
        `${keys} cannot hold. Give the state a larger capacity.`,
    );
  });
  const visibleKeys = (b: number, i: number): number[] => {
    const last = (used ? used[b] : 0) + i;
    const visible: number[] = [];
    for (let j = 0; j <= last; j++) {
      const together =
        !queryDocuments || !keyDocuments || queryDocuments[b * length + i] === keyDocuments[b * keys + j];
      if (j < sinks || (together && j > last - window)) visible.push(j);
    }
    return visible;
  };
  return {
    ...sizes,
    q: floatsOf(inputs[0], 'q'),
    k: floatsOf(inputs[1], 'k'),
    v: floatsOf(inputs[2], 'v'),
    visibleKeys,
  };
}

/** Σ a[i]·b[i] over `size` numbers from the two offsets. */
function dotAt(a: FloatValues, aStart: number, b: FloatValues, bStart: number, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i++) sum += a[aStart + i] * b[bStart + i];
  return sum;
}

/** target[i] += factor · source[i] over `size` numbers from the two offsets. */
function addScaled(
  target: FloatValues,
  targetStart: number,
  factor: number,
  source: FloatValues,
  sourceStart: number,
  size: number,
): void {
  for (let i = 0; i < size; i++) target[targetStart + i] += factor * source[sourceStart + i];
}

/** Runs `visit` for every query of every row and head, with the places of its rows in the operands. */
function forEachQuery(
  { batch, length, keys, heads, groups, keySize, valueSize }: Sizes,
  visit: (at: {
    b: number;
    i: number;
    q: number;
    out: number;
    logsumexp: number;
    k(j: number): number;
    v(j: number): number;
  }) => void,
): void {
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const group = Math.floor((h * groups) / heads);
      for (let i = 0; i < length; i++) {
        const query = (b * length + i) * heads + h;
        visit({
          b,
          i,
          q: query * keySize,
          out: query * valueSize,
          logsumexp: (b * heads + h) * length + i,
          k: (j) => ((b * keys + j) * groups + group) * keySize,
          v: (j) => ((b * keys + j) * groups + group) * valueSize,
        });
      }
    }
  }
}

const attentionBackwardOperation = defineOperation<AttentionAttributes>({
  name: 'attentionBackward',
  infer(inputs, attributes, fail) {
    const { batch, length, keys, heads, groups, keySize, valueSize } = checkOperands(
      inputs,
      attributes,
      fail,
    );
    const [, , , , , , out, logsumexp, dOut] = inputs;
    requireType(out, 'out', [batch, length, heads, valueSize], FLOATS, fail);
    requireType(logsumexp, 'logsumexp', [batch, heads, length], FLOAT32, fail);
    requireType(dOut, 'dOut', [batch, length, heads, valueSize], FLOATS, fail);
    const shapes = [
      [batch, length, heads, keySize],
      [batch, keys, groups, keySize],
      [batch, keys, groups, valueSize],
    ];
    return storedTypes(shapes, attributes, fail);
  },
  cost(inputs, outputs, attributes) {
    const sizes = typesSizes(inputs);
    const pairs = sizes.batch * sizes.heads * scoredPairs(sizes, inputs[5], attributes);
    return {
      model: 0,
      // Scores again, dq and dk in the size of the keys; the weights' gradient and dv in that of the values.
      executed: 2 * pairs * (3 * sizes.keySize + 2 * sizes.valueSize),
      elementwise: 4 * pairs,
      bytes: traffic(inputs, outputs),
    };
  },
  evaluate(inputs, outputs, attributes) {
    const { scale } = attributes;
    const operands = readOperands(inputs, attributes);
    const { batch, length, keys, heads, groups, keySize, valueSize, q, k, v, visibleKeys } = operands;
    const out = floatsOf(inputs[6], 'out');
    const logsumexp = floatsOf(inputs[7], 'logsumexp');
    const dOut = floatsOf(inputs[8], 'dOut');
    const dq = new Float64Array(batch * length * heads * keySize);
    const dk = new Float64Array(batch * keys * groups * keySize);
    const dv = new Float64Array(batch * keys * groups * valueSize);
    forEachQuery(operands, (at) => {
      // Σ_j weight_j · dWeight_j, the term that all scores of a query have in common.
      const common = dotAt(dOut, at.out, out, at.out, valueSize);
      for (const j of visibleKeys(at.b, at.i)) {
        const score = scale * dotAt(q, at.q, k, at.k(j), keySize);
        const weight = Math.exp(score - logsumexp[at.logsumexp]);
        const dWeight = dotAt(dOut, at.out, v, at.v(j), valueSize);
        const dScore = scale * weight * (dWeight - common);
        addScaled(dv, at.v(j), weight, dOut, at.out, valueSize);
        addScaled(dq, at.q, dScore, k, at.k(j), keySize);
        addScaled(dk, at.k(j), dScore, q, at.q, keySize);
      }
    });
    store(outputs[0], dq);
    store(outputs[1], dk);
    store(outputs[2], dv);
  },
  storableOutputs: [0, 1, 2],
});

const attentionOperation = defineOperation<AttentionAttributes>({
  name: 'attention',
  infer(inputs, attributes, fail) {
    const { scale, dtype } = attributes;
    const { batch, length, heads, valueSize } = checkOperands(inputs, attributes, fail);
    if (!Number.isFinite(scale)) return fail(`the attribute scale must be a finite number, not ${scale}.`);
    return [
      storedType([batch, length, heads, valueSize], dtype, fail),
      { shape: [batch, heads, length], dtype: 'float32' },
    ];
  },
  gradient({ inputs, outputs, attributes }, [dOut, dLogsumexp]) {
    refuseGradient(dLogsumexp, 'attention', 'logsumexp');
    const [q, k, v, queryDocuments, keyDocuments, used] = inputs;
    if (!dOut || !q || !k || !v) return inputs.map(() => undefined);
    const [out, logsumexp] = outputs;
    const { dq, dk, dv } = attentionBackward(
      { q, k, v, queryDocuments, keyDocuments, used, out, logsumexp, dOut },
      { scale: attributes.scale, ...sightOf(attributes) },
    );
    return [dq, dk, dv, undefined, undefined, undefined];
  },
  cost(inputs, outputs, attributes) {
    const sizes = typesSizes(inputs);
    const pairs = sizes.batch * sizes.heads * scoredPairs(sizes, inputs[5], attributes);
    const model = 2 * pairs * (sizes.keySize + sizes.valueSize);
    return { model, executed: model, elementwise: 4 * pairs, bytes: traffic(inputs, outputs) };
  },
  evaluate(inputs, outputs, attributes) {
    const { scale } = attributes;
    const operands = readOperands(inputs, attributes);
    const { batch, length, heads, keySize, valueSize, q, k, v, visibleKeys } = operands;
    const out = new Float64Array(batch * length * heads * valueSize);
    const logsumexp = new Float64Array(batch * heads * length);
    forEachQuery(operands, (at) => {
      const visible = visibleKeys(at.b, at.i);
      const scores = visible.map((j) => scale * dotAt(q, at.q, k, at.k(j), keySize));
      const largest = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - largest), 0);
      logsumexp[at.logsumexp] = largest + Math.log(total);
      visible.forEach((j, index) => {
        const weight = Math.exp(scores[index] - largest) / total;
        addScaled(out, at.out, weight, v, at.v(j), valueSize);
      });
    });
    store(outputs[0], out);
    store(outputs[1], logsumexp);
  },
  storableOutputs: [0],
});

/**
 * out[b, i, h] = Σ_j softmax_j(scale · q[b, i, h] · k[b, j, g]) v[b, j, g] over the keys j ≤ i (with `used`: j ≤ used[b] + i) of
 * the query's own document, g = ⌊h·G/H⌋; with a window the last ones only, and with sinks the first ones of the row too. `out` is [B, L, H, F]; `logsumexp` [B, H, L] is that of the scaled scores,
 * kept for the gradient.
 */
export function attention(
  inputs: AttentionInputs,
  options: AttentionOptions = {},
): { out: Tensor; logsumexp: Tensor } {
  const { q, k, v, queryDocuments, keyDocuments, used } = inputs;
  const scale = options.scale ?? 1 / Math.sqrt(q.shape[q.shape.length - 1]);
  const [out, logsumexp] = q.graph.apply(attentionOperation, [q, k, v, queryDocuments, keyDocuments, used], {
    scale,
    dtype: options.dtype ?? 'float32',
    ...sightOf(options),
  });
  return { out, logsumexp };
}

export interface AttentionBackwardInputs extends AttentionInputs {
  readonly out: Tensor;
  readonly logsumexp: Tensor;
  /** [B, L, H, F], float32 or bfloat16. */
  readonly dOut: Tensor;
}

/** Gradients of q, k and v; those of keys and values are sums over the query heads that share them. */
export function attentionBackward(
  inputs: AttentionBackwardInputs,
  options: AttentionOptions & { readonly scale: number },
): { dq: Tensor; dk: Tensor; dv: Tensor } {
  const { q, k, v, queryDocuments, keyDocuments, used, out, logsumexp, dOut } = inputs;
  const [dq, dk, dv] = q.graph.apply(
    attentionBackwardOperation,
    [q, k, v, queryDocuments, keyDocuments, used, out, logsumexp, dOut],
    { scale: options.scale, dtype: options.dtype ?? 'float32', ...sightOf(options) },
  );
  return { dq, dk, dv };
}
