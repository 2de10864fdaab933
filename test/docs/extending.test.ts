/**
 * The layer of docs/extending.md, as it stands on the page: it registers itself, passes the laws of every layer, trains and
 * generates.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { createSession } from '../../src/generate/index.ts';
import { parseModelConfig } from '../../src/models/index.ts';
import { initialize } from '../../src/nn/index.ts';
import { createReferenceExecutor } from '../../src/runtime/index.ts';
import { buildTraining, freeze, integerInput, numberInput, parseRunConfig } from '../../src/train/index.ts';
import { snippetsOf } from './snippets.ts';

// The suite's own files run here on this layer alone.
vi.mock('../conformance/subjects.ts', async (load) => {
  await import(/* @vite-ignore */ writeExample());
  const all = await load<typeof import('../conformance/subjects.ts')>();
  const layerSubjects = all.layerSubjects.filter(({ label }) => label.startsWith('gated-linear:'));
  return { ...all, layerSubjects, blockSubjects: [], subjects: layerSubjects };
});

/** The example with the package's names replaced by those of its sources; where it lies. */
function writeExample(): string {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const page = snippetsOf(readFileSync(join(root, 'docs/extending.md'), 'utf8'));
  const [example] = page.filter(({ code }) => code.includes('registerLayer('));
  if (!example) throw new Error('docs/extending.md has no example that registers a layer.');
  const code = example.code
    .replaceAll(/from 'braid'/g, `from '${join(root, 'src/index.ts')}'`)
    .replaceAll(/from 'braid\/(\w+)'/g, (_, part: string) => `from '${join(root, 'src', part, 'index.ts')}'`);
  const folder = join(root, 'build/snippets');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'extendingExample.ts');
  writeFileSync(file, code);
  return file;
}

await import('../conformance/sequences.test.ts');
await import('../conformance/gradients.test.ts');
await import('../conformance/states.test.ts');

it('is what the laws above are about', async () => {
  const { subjects } = await import('../conformance/subjects.ts');
  expect(subjects.map(({ label }) => label)).toEqual(['gated-linear: two heads']);
});

it('trains and generates, in a pattern with others', async () => {
  const length = 12;
  const model = parseModelConfig({
    pattern: '(gated-linear+mlp attention+mlp)*2',
    width: 8,
    vocabulary: 257,
    ...{ 'gated-linear': { heads: 2, state: 4 }, attention: { heads: 2 }, mlp: { width: 16 } },
  });
  const run = parseRunConfig(
    { model, train: { length, batch: 1, steps: 4, precision: 'float32' } },
    'the test',
  );
  const frozen = freeze(run, { threads: 1, bfloat16: false, lanes: false });
  const executor = createReferenceExecutor({ precision: 'float64' });
  const store = executor.createStore();
  const { step, parameters } = buildTraining(model, frozen.train);
  for (const spec of parameters) {
    const { data } = store.tensor(`parameter/${spec.name}`, 'float32', spec.shape);
    const values = new Float32Array(data.length);
    initialize(spec, 1, values);
    data.set(values);
  }
  const loaded = executor.load(step, store);
  const tokens = Array.from({ length }, (_, index) => (index * 73) % 256);
  const losses: number[] = [];
  for (let at = 1; at <= 4; at++) {
    integerInput(loaded.inputs, 'ids').set(tokens);
    integerInput(loaded.inputs, 'targets').set([...tokens.slice(1), 256]);
    integerInput(loaded.inputs, 'positions').set(tokens.map((_, index) => index));
    integerInput(loaded.inputs, 'documents').fill(0);
    numberInput(loaded.inputs, 'weights').fill(1 / length);
    for (const [name, value] of Object.entries({ learningRate: 0.01, step: at, maxNorm: 1 })) {
      numberInput(loaded.inputs, name)[0] = value;
    }
    await loaded.run();
    losses.push(numberInput(loaded.outputs, 'loss')[0]);
  }
  expect(losses[3]).toBeLessThan(losses[0]);

  const setup = { model, precision: 'float64', threads: 1, executor, store } as const;
  const [whole, session] = [createSession(setup, { recompute: true }), createSession(setup)];
  const expected = await whole.feed(tokens);
  for (const token of tokens.slice(0, -1)) await session.feed([token]);
  const found = await session.feed(tokens.slice(-1));
  expect(Math.max(...found.map((value, index) => Math.abs(value - expected[index])))).toBeLessThan(1e-9);
});
