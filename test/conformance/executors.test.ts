/**
 * Law: the native executor computes what the reference computes, values and gradients, in float32 and with the casts of
 * BF16; and BF16 keeps the direction of what float64 gives.
 */
import { describe, expect, it } from 'vitest';
import { differentiate, lowerPrecision, optimize } from '../../src/compiler/index.ts';
import { elementCount, type Tensor } from '../../src/graph/index.ts';
import { add, dot } from '../../src/ops/index.ts';
import type { Executor } from '../../src/runtime/index.ts';
import { createNativeExecutor, createReferenceExecutor, inspectNative } from '../../src/runtime/index.ts';
import { exact, normals, open, parameterValues, type Results, relativeError } from './evaluate.ts';
import { blockSubjects, type Setup, type Subject, subjects } from './subjects.ts';

const native = inspectNative();

/** Outputs, final states and gradients of a subject, by name, on each of the executors. */
async function results(
  subject: Subject,
  setup: Setup,
  executors: readonly Executor[],
  low: boolean,
  lanes = false,
): Promise<Results[]> {
  const { batch, length, documents, start = 0 } = setup;
  const built = subject.build(setup);
  const { graph } = built;
  const values = new Map<string, ArrayLike<number>>(parameterValues(built.parameters));
  values.set('input/x', normals('x', elementCount(built.x.shape)).map(Math.fround));
  values.set(
    'input/positions',
    Int32Array.from({ length: batch * length }, (_, i) => start + (i % length)),
  );
  if (documents) {
    const second = start + Math.ceil(length / 2);
    values.set(
      'input/documents',
      Int32Array.from({ length: batch * length }, (_, i) => (start + (i % length) < second ? 0 : second)),
    );
  }
  for (const [name, { shape, dtype }] of built.before) {
    const count = elementCount(shape);
    const used = name.endsWith('used') ? start : 0;
    values.set(
      `state/${name}`,
      dtype === 'int32' ? new Int32Array(count).fill(used) : normals(name, count, 0.5),
    );
  }
  const outputs: Record<string, Tensor> = { y: built.y };
  const terms: Tensor[] = [];
  for (const [name, tensor] of [['y', built.y] as const, ...built.after]) {
    if (name !== 'y') outputs[`state ${name}`] = tensor;
    if (tensor.dtype !== 'float32') continue;
    values.set(
      `input/weights ${name}`,
      normals(`weights ${name}`, elementCount(tensor.shape)).map(Math.fround),
    );
    terms.push(dot(tensor, graph.source('input', `weights ${name}`, tensor.shape)));
  }
  const variables = graph.sources.filter(
    ({ dtype, name }) => dtype === 'float32' && !name.startsWith('weights'),
  );
  const derived = differentiate(
    graph,
    terms.reduce((sum, term) => add(sum, term)),
    variables,
  );
  const wanted = new Map(Object.entries(outputs).map(([name, tensor]) => [name, derived.map(tensor)]));
  for (const variable of variables) {
    const gradient = derived.gradients.get(variable);
    if (gradient) wanted.set(`gradient ${variable.name}`, gradient);
  }
  for (const [name, tensor] of wanted) derived.graph.output(name, tensor);
  const lowered = low ? optimize(lowerPrecision(derived.graph).graph, 'bfloat16') : derived.graph;
  const found: Results[] = [];
  for (const executor of executors) {
    const session = open(lowered, {}, executor, lanes);
    found.push(await session.run(values));
    session.dispose();
  }
  return found;
}

function setups(subject: Subject): Setup[] {
  const [length] = subject.lengths;
  const setups: Setup[] = [
    { batch: 2, length, documents: true },
    { batch: 1, length: Math.max(...subject.lengths) },
  ];
  if (!subject.prefixStable) return setups;
  return [
    ...setups,
    { batch: 2, length: 1, start: 2, capacity: 6 },
    { batch: 2, length, start: 1, capacity: 20, documents: true },
  ];
}

function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [product, squareA, squareB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    product += a[i] * b[i];
    squareA += a[i] ** 2;
    squareB += b[i] ** 2;
  }
  return squareA + squareB === 0 ? 1 : product / Math.sqrt(squareA * squareB);
}

describe.skipIf(!native.available)(`native equals reference (${native.isa ?? native.reason})`, () => {
  const reference = createReferenceExecutor();
  const executor = native.available ? createNativeExecutor({ threads: 2, checkMemory: true }) : reference;

  it.each(subjects)('$label', async (subject) => {
    for (const setup of setups(subject)) {
      for (const low of [false, true]) {
        const [expected, actual] = await results(subject, setup, [reference, executor], low);
        expect([...actual.keys()]).toEqual([...expected.keys()]);
        for (const [name, values] of expected) {
          const gradient = name.startsWith('gradient');
          const tolerance = low ? (gradient ? 2e-2 : 1e-2) : gradient ? 1e-4 : 1e-5;
          const what = `${name}, ${JSON.stringify(setup)}${low ? ', bf16' : ''}`;
          expect(relativeError(actual.get(name) ?? [], values), what).toBeLessThan(tolerance);
        }
      }
    }
  });

  it.each(blockSubjects)('$label, branches in lanes', async (subject) => {
    const [setup] = setups(subject);
    const [expected, actual] = await results(subject, setup, [reference, executor], false, true);
    for (const [name, values] of expected) {
      expect(relativeError(actual.get(name) ?? [], values), name).toBeLessThan(1e-4);
    }
  });
});

describe('BF16 keeps the direction of float64', () => {
  it.each(subjects)('$label', async (subject) => {
    const [setup] = setups(subject);
    const [expected] = await results(subject, setup, [exact], false);
    const [actual] = await results(subject, setup, [createReferenceExecutor()], true);
    for (const name of ['y', 'gradient x']) {
      expect(cosine(actual.get(name) ?? [], expected.get(name) ?? [0]), name).toBeGreaterThan(0.999);
    }
  });
});
