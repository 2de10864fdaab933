/**
 * Runs one operation natively and compares it with its plain meaning in float64. From one case several variants are made:
 * every output alone (the others absent), bfloat16 storage, and outputs written over their inputs.
 */
import { compile } from '../../src/compiler/index.ts';
import type { Attributes, DType, Operand, Shape, Tensor, Values } from '../../src/graph/index.ts';
import { elementCount, findOperation, Graph } from '../../src/graph/index.ts';
import '../../src/ops/index.ts';
import type { NativeExecutor, TensorData } from '../../src/runtime/index.ts';

/** Values of a tensor, and how they are stored. */
export interface Given {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: ArrayLike<number>;
}

export interface OperationCase {
  readonly operation: string;
  readonly title: string;
  readonly inputs: readonly (Given | undefined)[];
  readonly attributes: Attributes;
  /** Inputs that may also be stored in bfloat16, all at once. */
  readonly half?: readonly number[];
  /** Outputs that mean something with these inputs; all when not given. */
  readonly outputs?: readonly number[];
  /** Largest error relative to the largest value of an output; 1e-5 when not given. */
  readonly tolerance?: number;
}

export interface Variant {
  readonly operation: string;
  readonly title: string;
  readonly inputs: readonly (Given | undefined)[];
  readonly attributes: Attributes;
  /** Outputs that somebody reads. */
  readonly wanted: readonly number[];
  /** Pairs [output, input] that share a buffer. */
  readonly shared: readonly (readonly [number, number])[];
  readonly tolerance: number;
  /** All outputs by the plain meaning; computed once, as it is slow. */
  readonly expected: () => readonly Given[];
}

/** `alone`: also with every output by itself. */
export function variantsOf(test: OperationCase, alone: boolean): Variant[] {
  const { operation, inputs, attributes, half, outputs, tolerance = 1e-5 } = test;
  const { storableOutputs, inPlace = [] } = findOperation(operation);
  const count = outputTypes(operation, inputs, attributes).length;
  const all = outputs ?? Array.from({ length: count }, (_, i) => i);
  const stored = (title: string, given: typeof inputs, settings: Attributes, allowed: number): Variant => {
    let known: readonly Given[] | undefined;
    const expected = (): readonly Given[] => {
      known ??= evaluatePlain(operation, given, settings);
      return known;
    };
    const common = { operation, title, inputs: given, attributes: settings, tolerance: allowed };
    return { ...common, expected, wanted: all, shared: [] };
  };
  const plain = stored('float32', inputs, attributes, tolerance);
  const variants = [plain];
  if (alone && all.length > 1) {
    for (const i of all) variants.push({ ...plain, title: `output ${i} alone`, wanted: [i] });
  }
  if (half || storableOutputs) {
    const narrow = inputs.map((input, i) => (input && half?.includes(i) ? inHalf(input) : input));
    const settings = storableOutputs ? { ...attributes, dtype: 'bfloat16' } : attributes;
    variants.push(stored('bfloat16', narrow, settings, 1e-2));
  }
  if (storableOutputs && storableOutputs.length > 1) {
    const wide = [storableOutputs[0]];
    variants.push(stored('bfloat16 but one', inputs, { ...attributes, dtype: 'bfloat16', wide }, 1e-2));
  }
  for (const shared of placements(inPlace.filter(([, input]) => inputs[input]))) {
    variants.push({ ...plain, title: `in place of ${shared.map(([, input]) => input)}`, shared });
  }
  return variants;
}

type Pairs = readonly (readonly [output: number, input: number])[];

/** Every pair once, as few times as outputs and inputs that stand in several allow. */
function placements(pairs: Pairs): Pairs[] {
  const [now, later]: [(readonly [number, number])[], (readonly [number, number])[]] = [[], []];
  for (const pair of pairs) {
    (now.some(([output, input]) => output === pair[0] || input === pair[1]) ? later : now).push(pair);
  }
  return now.length === 0 ? [] : [now, ...placements(later)];
}

/** Runs a variant and says what is wrong with the outputs; an empty list when nothing is. */
export async function compareVariant(executor: NativeExecutor, variant: Variant): Promise<string[]> {
  const expected = variant.expected();
  const found = await runNative(executor, variant);
  return variant.wanted.flatMap((output) => {
    const wrong = difference(expected[output], found[output], variant.tolerance);
    return wrong === undefined ? [] : [`output ${output}: ${wrong}`];
  });
}

/** The outputs of an operation on given inputs, by its plain meaning in float64. */
export function evaluatePlain(
  operation: string,
  inputs: readonly (Given | undefined)[],
  attributes: Attributes,
): Given[] {
  const operands = inputs.map((input) => input && operandOf(input));
  const outputs = outputTypes(operation, inputs, attributes).map(({ shape, dtype }) => {
    const count = elementCount(shape);
    return { shape, dtype, values: dtype === 'int32' ? new Int32Array(count) : new Float64Array(count) };
  });
  findOperation(operation).evaluate(operands, outputs, attributes);
  return outputs;
}

function operandOf({ shape, dtype, values }: Given): Operand {
  const copy: Values = dtype === 'int32' ? Int32Array.from(values) : Float64Array.from(values);
  return { shape, dtype, values: copy };
}

function outputTypes(
  operation: string,
  inputs: readonly (Given | undefined)[],
  attributes: Attributes,
): { shape: Shape; dtype: DType }[] {
  return findOperation(operation).infer(inputs, attributes, (message) => {
    throw new Error(`${operation}: ${message}`);
  });
}

/** Runs the one operation; the result has holes where nobody reads an output. */
export async function runNative(
  executor: NativeExecutor,
  { operation, inputs, attributes, wanted, shared }: Variant,
): Promise<(Float64Array | undefined)[]> {
  const graph = new Graph();
  const isShared = (input: number): boolean => shared.some(([, other]) => other === input);
  const sources = inputs.map(
    (input, i) => input && graph.source(isShared(i) ? 'state' : 'input', `in${i}`, input.shape, input.dtype),
  );
  const outputs = graph.apply(findOperation(operation), sources, attributes);
  for (const i of wanted) if (!shared.some(([output]) => output === i)) graph.output(`out${i}`, outputs[i]);
  for (const [output, input] of shared) graph.assign(sources[input] as Tensor, outputs[output]);

  const store = executor.createStore();
  const program = executor.load(compile(graph, { name: operation, threads: executor.threads }), store);
  try {
    inputs.forEach((input, i) => {
      const memory = isShared(i) ? store.find(`state/in${i}`)?.data : program.inputs.get(`in${i}`);
      if (input && memory) write(memory, input);
    });
    await program.run();
    return outputs.map(({ dtype }, i) => {
      const input = shared.find(([output]) => output === i)?.[1];
      const memory =
        input === undefined ? program.outputs.get(`out${i}`) : store.find(`state/in${input}`)?.data;
      return memory && read(memory, dtype);
    });
  } finally {
    program.dispose();
    store.dispose();
  }
}

function difference(
  expected: Given,
  found: ArrayLike<number> | undefined,
  tolerance: number,
): string | undefined {
  if (!found) return 'is missing';
  const { values, dtype } = expected;
  let largest = 0.1; // values near zero that come from cancellation are judged against inputs of order one
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  const allowed =
    dtype === 'int32' ? 0 : (dtype === 'bfloat16' ? Math.max(tolerance, 1e-2) : tolerance) * largest;
  for (let i = 0; i < values.length; i++) {
    // A NaN compares false and is found as well.
    if (Math.abs(values[i] - found[i]) <= allowed) continue;
    return `element ${i} of ${values.length} is ${found[i]} instead of ${values[i]} (largest ${largest})`;
  }
  return undefined;
}

// ---- bfloat16 ----

export function inHalf({ shape, values }: Given): Given {
  return { shape, dtype: 'bfloat16', values: Float64Array.from(values, (x) => fromBits(toBits(x))) };
}

/** One number as its bits; views of their own for every number cost more than all kernels together. */
const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** Rounds to nearest even. */
function toBits(x: number): number {
  single[0] = x;
  const bits = singleBits[0];
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function fromBits(bits: number): number {
  singleBits[0] = bits << 16;
  return single[0];
}

function write(memory: TensorData, { dtype, values }: Given): void {
  if (dtype !== 'bfloat16') memory.set(values);
  else for (let i = 0; i < values.length; i++) memory[i] = toBits(values[i]);
}

function read(memory: TensorData, dtype: DType): Float64Array {
  return dtype === 'bfloat16' ? Float64Array.from(memory, fromBits) : Float64Array.from(memory);
}
