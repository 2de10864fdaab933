import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Continuation } from './continuation.ts';
import type { EvaluatedModel } from './model.ts';
import { createContinuationScorer, PrefixScorer, sharedLength } from './prefixScorer.ts';
import { tinyAttention, tinyHybrid, tinyModel } from './testing.ts';
import { WholeScorer } from './wholeScorer.ts';

/** Texts of few different tokens, so that some begin alike. */
const continuation: fc.Arbitrary<Continuation> = fc
  .array(fc.integer({ min: 0, max: 2 }), { minLength: 2, maxLength: 24 })
  .chain((tokens) =>
    fc.record({
      tokens: fc.constant(Int32Array.from(tokens)),
      from: fc.integer({ min: 1, max: tokens.length - 1 }),
    }),
  );

const models = {
  attention: tinyAttention,
  'tokens routed by chunks': {
    ...tinyHybrid,
    routing: { strategy: 'chunks', chunk: 4, pattern: 'AAS' },
  },
  'tokens routed to three branches': {
    ...tinyHybrid,
    pattern: '(attention+mlp | mamba1+mlp | attention+mlp)*2',
    routing: { strategy: 'chunks', chunk: 2 },
  },
  'meta tokens': {
    ...tinyHybrid,
    pattern: '(attention & mamba1)+mlp*2',
    attention: { heads: 2, window: 4, sinks: 3, rope: {} },
    metaTokens: 3,
  },
  'branches side by side': { ...tinyHybrid, pattern: '(attention & mamba1)+mlp*2' },
};

/** An executor that writes down the rows and tokens of every run. */
function counting({ executor }: EvaluatedModel, runs: number[][]): EvaluatedModel['executor'] {
  return {
    name: executor.name,
    threads: 1,
    createStore: () => executor.createStore(),
    load(program, store) {
      const loaded = executor.load(program, store);
      return {
        program,
        inputs: loaded.inputs,
        outputs: loaded.outputs,
        dispose: () => loaded.dispose(),
        run(options) {
          runs.push([...program.buffers[program.inputs.ids].shape]);
          return loaded.run(options);
        },
      };
    },
  };
}

describe('texts that begin alike', () => {
  it.each(Object.entries(models))('get from %s what they get alone', async (_, config) => {
    const model = tinyModel({ ...config, vocabulary: 3 });
    const scorer = new PrefixScorer(model);
    const whole = new WholeScorer(model);
    const groups = fc.array(continuation, { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(groups, fc.boolean(), async (group, greedy) => {
        const found = await scorer.score(group, greedy);
        const wanted = await whole.score(group);
        found.forEach((likelihood, index) => {
          expect(likelihood.logLikelihood).toBeCloseTo(wanted[index].logLikelihood, 8);
          expect(likelihood.greedy).toBe(greedy ? wanted[index].greedy : undefined);
        });
      }),
      { numRuns: 12 },
    );
    scorer.dispose();
    whole.dispose();
  });

  it('go through the model once where they are the same', async () => {
    const model = tinyModel(tinyAttention);
    const runs: number[][] = [];
    const scorer = new PrefixScorer({ ...model, executor: counting(model, runs) });
    const beginning = Array.from({ length: 13 }, (_, index) => index);
    const choices = [
      [20, 21, 22],
      [30, 31],
    ].map((end) => ({
      tokens: Int32Array.from([...beginning, ...end]),
      from: 13,
    }));
    await scorer.score(choices, false);
    // Thirteen tokens in pieces, then both rows; the last token of each is only predicted.
    expect(runs).toEqual([
      [1, 8],
      [1, 4],
      [1, 1],
      [2, 2],
    ]);
  });

  it('share what all begin with, up to where the first counts', () => {
    const group = (...parts: [number[], number][]) =>
      parts.map(([tokens, from]) => ({ tokens: Int32Array.from(tokens), from }));
    expect(sharedLength(group([[1, 2, 3, 4], 3], [[1, 2, 5], 2]))).toBe(2);
    expect(sharedLength(group([[1, 2, 3, 4], 3], [[1, 2, 3, 5], 3]))).toBe(3);
    expect(sharedLength(group([[1, 2], 1], [[3, 2], 1]))).toBe(0);
  });

  it('grow the caches when a longer one comes, and give the same again', async () => {
    const model = tinyModel(tinyAttention);
    const scorer = new PrefixScorer(model);
    const short = { tokens: Int32Array.of(1, 2, 3, 4), from: 2 };
    const long = { tokens: new Int32Array(300).fill(7), from: 280 };
    const [before] = await scorer.score([short], false);
    await scorer.score([long, short], false);
    const [after] = await scorer.score([short], false);
    expect(after.logLikelihood).toBe(before.logLikelihood);
    scorer.dispose();
    expect(model.store.keys().filter((key) => key.startsWith('state/'))).toEqual([]);
  });

  it('are computed whole where the routing depends on the length, and the reason is given', () => {
    const bound = createContinuationScorer(tinyModel({ ...tinyHybrid, routing: { strategy: 'fac' } }));
    expect(bound.recomputes).toMatch(/'fac' splits a text by its length/);
    expect(createContinuationScorer(tinyModel(tinyAttention)).recomputes).toBeUndefined();
  });
});
