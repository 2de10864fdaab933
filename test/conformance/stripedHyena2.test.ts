/**
 * What an implementation of StripedHyena 2 must do (Ku et al. 2025 and the code released with it; the mistakes that were
 * found in that code are named where a test would catch them). ℓh: taps of a filter; ℓb: rows of a block.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { compile } from '../../src/compiler/index.ts';
import { createSession } from '../../src/generate/index.ts';
import { elementCount, Graph, type Tensor } from '../../src/graph/index.ts';
import { buildModel, parseModelConfig, SafetensorsFile, writeSafetensors } from '../../src/models/index.ts';
import { initialize } from '../../src/nn/index.ts';
import {
  activation,
  add,
  filterConvolution,
  modalConvolution,
  multiply,
  multiplyChannels,
  scale,
} from '../../src/ops/index.ts';
import { checkGradient, floats, givenFloats, run } from '../../src/ops/testing.ts';
import type { LoadedProgram } from '../../src/runtime/index.ts';
import { createNativeExecutor, inspectNative } from '../../src/runtime/index.ts';
import { exact, normals, open, parameterValues, relativeError } from './evaluate.ts';

const native = inspectNative();

/** z and, with it, what an inner operator gives: q ⊙ (h ∗ (k ⊙ v) + d ⊙ k ⊙ v). */
function operator(filter: (u: Tensor) => Tensor) {
  return (q: Tensor, k: Tensor, v: Tensor, d: Tensor): Tensor => {
    const u = multiply(k, v);
    return multiply(q, add(filter(u), multiplyChannels(u, d)));
  };
}

const streams = (shape: readonly number[]) => [1, 2, 3].map((seed) => floats(shape, { seed }));

describe('1: two stages equal the sum over lags', () => {
  const block = 16;
  // One tap is a filter of two whose second is zero: an operator with a window has at least one entry in it.
  it.each([1, 7, block - 1, block, block + 1, block + 2, 2 * block + 1, 3 * block + 5])(
    'ℓh = %d with ℓb = 16, lengths that no block divides',
    (taps) => {
      const groups = 2;
      const drawn = floats([groups, Math.max(taps, 2)], { seed: 9 });
      const values = Float64Array.from(drawn.values, (value, i) => (taps === 1 && i % 2 === 1 ? 0 : value));
      const filter = { ...drawn, values };
      for (const length of [1, 7, 33, 50]) {
        const inputs = [...streams([2, length, 4]), floats([4], { seed: 4 }), filter];
        const [direct, blocked] = (['direct', 'blocked'] as const).map((algorithm) => {
          const build = (q: Tensor, k: Tensor, v: Tensor, d: Tensor, h: Tensor): Tensor =>
            operator((u) => filterConvolution({ u, taps: h }, { algorithm, block }).z)(q, k, v, d);
          if (length === 7 && taps < 8) checkGradient(build, inputs);
          return run(build, inputs)[0];
        });
        expect(relativeError(blocked, direct), `length ${length}`).toBeLessThan(1e-14);
      }
    },
  );
});

describe('2: gradients equal finite differences', () => {
  const shape = [2, 6, 4];

  it('of q, k, v, the taps, what they fade by, and the skip (Hyena-MR)', () => {
    const fading = givenFloats(
      [2, 5],
      Array.from({ length: 10 }, (_, i) => Math.exp(-(i % 5) / [8, 1.5][Math.floor(i / 5)])),
    );
    for (const algorithm of ['direct', 'blocked'] as const) {
      checkGradient(
        (q, k, v, d, h, fade) =>
          operator((u) => filterConvolution({ u, taps: multiply(h, fade) }, { algorithm, block: 4 }).z)(
            q,
            k,
            v,
            d,
          ),
        [...streams(shape), floats([4], { seed: 4 }), floats([2, 5], { seed: 5 }), fading],
      );
    }
  });

  it('of q, k, v, the residues R, and p and γ, of which the rate of a mode is made (Hyena-LI)', () => {
    checkGradient(
      (q, k, v, d, residues, p, gamma) => {
        const logPoles = scale(activation(add(p, gamma), { kind: 'exp' }), -1);
        return operator((u) => modalConvolution({ u, residues, logPoles }, { chunk: 4 }).z)(q, k, v, d);
      },
      [
        ...streams(shape),
        floats([4], { seed: 4 }),
        floats([4, 3], { seed: 5 }),
        floats([4, 3], { seed: 6, low: -1.5, high: -0.5 }),
        floats([4, 3], { seed: 7, low: -3, high: 0 }),
      ],
    );
  });
});

/** A whole model with each operator, narrow, its filters longer than the prompts. */
const model = parseModelConfig({
  pattern: 'hyena-se+mlp hyena-mr+mlp hyena-li+mlp attention+mlp',
  width: 8,
  vocabulary: 29,
  'hyena-se': { taps: 7, groupSize: 4 },
  'hyena-mr': { taps: 128, groupSize: 4 },
  'hyena-li': { modes: 3 },
  attention: { heads: 2, rope: { theta: 100 } },
  mlp: { width: 12 },
});
const prompt = Array.from({ length: 10 }, (_, i) => (i * 17 + 5) % 29);

/** Weights of the model, in the store of the executor, away from their start. */
function setup() {
  const executor = exact;
  const store = executor.createStore();
  const { parameters } = buildModel(new Graph(), model, { batch: 1, length: 1, documents: false });
  const values = parameterValues(parameters);
  for (const { name, shape, fixed } of parameters) {
    const start = new Float32Array(elementCount(shape));
    const spec = parameters.find((one) => one.name === name);
    if (fixed && spec) initialize(spec, 1, start);
    store
      .tensor(`parameter/${name}`, 'float32', shape)
      .data.set(fixed ? start : (values.get(`parameter/${name}`) ?? []));
  }
  return { model, precision: 'float64' as const, threads: 1, executor, store };
}

describe('3 and 4: pieces, steps and prefixes of a whole model', () => {
  it('prompts of 1 to 10 tokens, split at every position, give the logits of the whole', async () => {
    const given = setup();
    const session = createSession(given);
    const whole = createSession(given, { recompute: true });
    for (let length = 1; length <= prompt.length; length++) {
      whole.reset();
      const expected = await whole.feed(prompt.slice(0, length));
      for (let split = 0; split < length; split++) {
        session.reset();
        if (split > 0) await session.feed(prompt.slice(0, split));
        const found = await session.feed(prompt.slice(split, length));
        // A cache of a window that was too short at the start gave wrong outputs until it was full (vortex).
        expect(relativeError(found, expected), `${length} tokens, split at ${split}`).toBeLessThan(1e-11);
      }
    }
    session.dispose();
  });

  it('a prefix shorter than its filters has the outputs that it has within a longer row', async () => {
    const { store } = setup();
    const values = new Map<string, ArrayLike<number>>(
      store.keys().map((key) => [key, store.find(key)?.data ?? []]),
    );
    const hidden = async (length: number): Promise<Float64Array> => {
      const graph = new Graph();
      const built = buildModel(graph, model, { batch: 1, length, documents: false });
      const session = open(graph, { hidden: built.hidden });
      const inputs: [string, ArrayLike<number>][] = [
        ['input/ids', prompt.slice(0, length)],
        ['input/positions', Array.from({ length }, (_, t) => t)],
      ];
      const results = await session.run(new Map([...values, ...inputs]));
      session.dispose();
      return results.get('hidden') ?? new Float64Array(0);
    };
    const whole = await hidden(prompt.length);
    for (let length = 1; length < prompt.length; length++) {
      // Filters longer than the row brought the future back around the end (an FFT that was too short, in NeMo).
      expect(relativeError(await hidden(length), whole.subarray(0, length * 8))).toBeLessThan(1e-12);
    }
  });
});

describe('5: the filter of Hyena-LI', () => {
  it('has poles between 0 and 1, whatever its rates are', () => {
    const rates = givenFloats([1, 7], [-16, -5, -1, 0, 1, 2, 4]);
    const [logPoles] = run((x) => scale(activation(x, { kind: 'exp' }), -1), [rates], {
      precision: 'float32',
    });
    for (const logPole of logPoles) {
      expect(Math.exp(logPole)).toBeGreaterThan(0);
      expect(Math.exp(logPole)).toBeLessThan(1);
    }
  });

  it.skipIf(!native.available)('keeps its digits over a million positions in float32', async () => {
    const [length, channels, modes] = [2 ** 20, 2, 2];
    const u = normals('u', length * channels).map(Math.fround);
    // Time constants of 27 and 272 tokens, where filters start, and of 1,000 and 10,000.
    const logPoles = Float32Array.of(-1 / 27, -1 / 272, -1 / 1000, -1 / 10_000);
    const residues = Float32Array.of(0.5, -0.25, 0.1, 0.01);
    const graph = new Graph();
    const source = (name: string, ...shape: number[]): Tensor => graph.source('input', name, shape);
    const given = { u: source('u', 1, length, channels), residues: source('residues', channels, modes) };
    const { z } = modalConvolution(
      { ...given, logPoles: source('logPoles', channels, modes) },
      { chunk: 64 },
    );
    graph.output('z', z);
    const executor = createNativeExecutor({ threads: 2 });
    const store = executor.createStore();
    const program: LoadedProgram = executor.load(compile(graph, { name: 'million', threads: 2 }), store);
    program.inputs.get('u')?.set(u);
    program.inputs.get('residues')?.set(residues);
    program.inputs.get('logPoles')?.set(logPoles);
    await program.run();
    const found = program.outputs.get('z') ?? [];
    const state = new Float64Array(channels * modes);
    const decays = Float64Array.from(logPoles, Math.exp);
    let [difference, largest] = [0, 0];
    for (let t = 0; t < length; t++) {
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let n = channel * modes; n < (channel + 1) * modes; n++) {
          state[n] = decays[n] * state[n] + u[t * channels + channel];
          sum += residues[n] * state[n];
        }
        difference = Math.max(difference, Math.abs(sum - found[t * channels + channel]));
        largest = Math.max(largest, Math.abs(sum));
      }
    }
    program.dispose();
    store.dispose();
    expect(difference / largest).toBeLessThan(1e-4);
  });
});

describe('8: filters in files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'braid-hyena-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('come back bit for bit, their first tap at lag 0', async () => {
    const first = setup();
    const path = join(folder, 'model.safetensors');
    const tensors = first.store.keys().map((key) => {
      const stored = first.store.tensor(key, 'float32', first.store.find(key)?.shape ?? []);
      return { name: key, dtype: 'F32' as const, shape: stored.shape, data: Float32Array.from(stored.data) };
    });
    await writeSafetensors(path, tensors);
    const second = { ...first, store: first.executor.createStore() };
    const file = await SafetensorsFile.open(path);
    for (const { name, shape } of file.entries.values()) {
      second.store.tensor(name, 'float32', shape).data.set(await file.readFloat32(name));
    }
    const taps = await file.readFloat32('parameter/blocks.0.hyena-se.taps');
    await file.close();
    const whole = (given: typeof first) => createSession(given, { recompute: true }).feed(prompt);
    expect([...(await whole(second))]).toEqual([...(await whole(first))]);
    // An impulse comes out as the taps in the order in which the file has them.
    const impulse = givenFloats(
      [1, 9, 8],
      Array.from({ length: 72 }, (_, i) => (i < 8 ? 1 : 0)),
    );
    const [out] = run((u, h) => filterConvolution({ u, taps: h }).z, [impulse, givenFloats([2, 7], taps)]);
    for (let lag = 0; lag < 9; lag++) {
      expect([out[lag * 8], out[lag * 8 + 7]]).toEqual(lag < 7 ? [taps[lag], taps[7 + lag]] : [0, 0]);
    }
  });
});
