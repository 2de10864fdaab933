/**
 * Law: the gradient of every parameter, of the input and of the initial state equals central differences, for a loss that
 * reads the output and the final state. In float64, with packed rows and with states; along a random direction per tensor,
 * and, for single layers, element by element in tensors of up to 64.
 */
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../src/compiler/index.ts';
import { elementCount, type Tensor } from '../../src/graph/index.ts';
import { add, dot } from '../../src/ops/index.ts';
import { normals, open, parameterValues } from './evaluate.ts';
import { type Built, layerSubjects, type Setup, type Subject, subjects } from './subjects.ts';

const step = 1e-5;
const tolerance = 1e-6;

/** Σ over the output and the final state of value · a random weight. */
function projection(built: Built, values: Map<string, ArrayLike<number>>): Tensor {
  const floats = [built.y, ...[...built.after.values()].filter(({ dtype }) => dtype === 'float32')];
  const terms = floats.map((tensor, index) => {
    const weights = built.graph.source('input', `weights${index}`, tensor.shape);
    values.set(`input/weights${index}`, normals(`weights${index}`, elementCount(tensor.shape)));
    return dot(tensor, weights);
  });
  return terms.reduce((sum, term) => add(sum, term));
}

/** Values of inputs and states: two documents per row where rows are packed, a used cache, a document that goes on. */
function inputValues(built: Built, { batch, length, documents, start = 0, capacity }: Setup) {
  const values = new Map<string, ArrayLike<number>>(parameterValues(built.parameters));
  values.set('input/x', normals('x', elementCount(built.x.shape)));
  values.set(
    'input/positions',
    Int32Array.from({ length: batch * length }, (_, i) => start + (i % length)),
  );
  if (documents) {
    const second = start + Math.ceil(length / 2);
    const of = (t: number, row: number): number => (start + t < second + (row % 2) ? 0 : second + (row % 2));
    const ids = Int32Array.from({ length: batch * length }, (_, i) => of(i % length, Math.floor(i / length)));
    values.set('input/documents', ids);
  }
  for (const [name, { shape, dtype }] of built.before) {
    const count = elementCount(shape);
    // Integer states: entries in use, and documents that continue with document 0.
    const used = name.endsWith('used') ? Math.min(start, (capacity ?? 0) - length) : 0;
    values.set(
      `state/${name}`,
      dtype === 'int32' ? new Int32Array(count).fill(used) : normals(name, count, 0.5),
    );
  }
  return values;
}

async function check(subject: Subject, setup: Setup, elementwise: boolean = false): Promise<void> {
  const built = subject.build(setup);
  const values = inputValues(built, setup);
  const loss = projection(built, values);
  const variables = [built.x, ...built.graph.sources].filter(
    (source, index, all) =>
      source.dtype === 'float32' && !source.name.startsWith('weights') && all.indexOf(source) === index,
  );
  const derived = differentiate(built.graph, loss, variables);
  const outputs: Record<string, Tensor> = {};
  variables.forEach((variable, index) => {
    const gradient = derived.gradients.get(variable);
    if (gradient) outputs[`gradient${index}`] = gradient;
  });
  const backward = open(derived.graph, outputs);
  const results = await backward.run(values);
  backward.dispose();
  // The many losses of the differences need no gradients.
  const forward = open(built.graph, { loss });

  for (const [index, variable] of variables.entries()) {
    const key = `${variable.role}/${variable.name}`;
    const centre = Float64Array.from(values.get(key) ?? []);
    const gradient = results.get(`gradient${index}`) ?? new Float64Array(centre.length);
    const along = async (direction: Float64Array): Promise<void> => {
      const lossAt = async (distance: number): Promise<number> => {
        const moved = centre.map((value, i) => value + distance * direction[i]);
        return (await forward.run(new Map([...values, [key, moved]]))).get('loss')?.[0] ?? Number.NaN;
      };
      const central = async (h: number): Promise<number> =>
        ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
      const slope = gradient.reduce((sum, value, i) => sum + value * direction[i], 0);
      // Slopes near zero are compared by the size of what they are made of.
      const error = (difference: number): number =>
        Math.abs(slope - difference) / Math.max(Math.abs(difference), Math.hypot(...gradient), 1e-3);
      const difference = await central(step);
      // Where the loss curves so much that the difference itself is off by more than the tolerance, its error of second
      // order is taken out (Richardson's extrapolation); a wrong gradient stays as wrong.
      const found =
        error(difference) < tolerance
          ? error(difference)
          : error((4 * (await central(step / 2)) - difference) / 3);
      expect(found, `gradient of ${key}`).toBeLessThan(tolerance);
    };
    await along(normals(`direction ${key}`, centre.length));
    if (!elementwise || centre.length > 64) continue;
    for (let i = 0; i < centre.length; i++) await along(new Float64Array(centre.length).fill(1, i, i + 1));
  }
  forward.dispose();
}

describe('gradients equal finite differences', () => {
  it.each(subjects)('$label', async (subject) => {
    const length = subject.lengths[subject.lengths.length - 1];
    await check(subject, { batch: 1, length });
    await check(subject, { batch: 2, length, documents: true });
  });

  it.each(layerSubjects)('$label, element by element', async (subject) => {
    await check(subject, { batch: 1, length: 3, start: 1, capacity: 5, documents: true }, true);
  });

  it.each(subjects.filter(({ prefixStable }) => prefixStable))('$label, with states', async (subject) => {
    const start = 2;
    await check(subject, { batch: 1, length: 1, start, capacity: 10 });
    for (const documents of [false, true]) {
      await check(subject, { batch: 2, length: subject.lengths[0], start, capacity: 20, documents });
    }
  });
});
