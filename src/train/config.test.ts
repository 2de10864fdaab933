import { describe, expect, it } from 'vitest';
import { asFrozen, freeze, parseRunConfig, tokensPerStep } from './config.ts';

const model = { pattern: 'mlp', width: 8, vocabulary: 257, mlp: { width: 8 } };
const parse = (train: Readonly<Record<string, unknown>>, rest: Readonly<Record<string, unknown>> = {}) =>
  parseRunConfig({ model, train, ...rest }, 'test');

describe('a run configuration', () => {
  it('fills in every default', () => {
    const { data, train } = parse({ steps: 10 });
    expect(data).toEqual({
      text: 'brown',
      tokenizer: 'bytes',
      validateEvery: 20,
      documents: 'apart',
      weighting: 'even',
    });
    expect(train).toMatchObject({
      decay: 0.1,
      beta1: 0.9,
      beta2: 0.95,
      clip: 1,
      warmup: 0.05,
      finalRate: 0.1,
    });
  });

  it.each([
    [{}, /train\.steps.*either 'steps' or 'tokens'/],
    [{ steps: 1, tokens: 5 }, /train\.steps.*not both/],
    [{ steps: 0 }, /train\.steps.*greater than 0|at least 1/],
    [{ steps: 1, learningRat: 1 }, /train\.learningRat.*'learningRate'/],
    [{ steps: 1, precision: 'fp16' }, /train\.precision.*fp16/],
    [{ steps: 1, precision: 'float64' }, /train\.precision.*reference executor only/],
    [{ steps: 1, beta2: 1 }, /train\.beta2.*less than 1/],
  ])('refuses %j', (train, message) => {
    expect(() => parse(train)).toThrow(message);
  });

  it('refuses unknown sections and texts that are no list', () => {
    expect(() => parse({ steps: 1 }, { trian: {} })).toThrow(/trian.*'train'/);
    expect(() => parse({ steps: 1 }, { data: { text: [] } })).toThrow(/data\.text/);
  });

  it('takes the tokenizer of its shards unless another is named', () => {
    const shards = [{ folder: 'a', weight: 2 }];
    expect(parse({ steps: 1 }, { data: { shards } }).data).toMatchObject({ shards, tokenizer: 'shards' });
    const named = parse({ steps: 1 }, { data: { shards: 'a', tokenizer: 'bytes' } });
    expect(named.data.tokenizer).toBe('bytes');
    expect(() => parse({ steps: 1 }, { data: { shards: 'a', text: ['b'] } })).toThrow(
      /data\.shards.*either 'text' or 'shards'/,
    );
    expect(() => parse({ steps: 1 }, { data: { shards: [{ folder: 'a', weight: 0 }] } })).toThrow(/weight/);
    expect(() => parse({ steps: 1 }, { data: { documents: 'join' } })).toThrow(/data\.documents.*'joined'/);
  });

  it('is frozen with what the machine offers, and only once', () => {
    const machine = { threads: 3, bfloat16: true };
    const { train } = freeze(parse({ tokens: 1000, length: 16, batch: 2, accumulation: 3 }), machine);
    expect(tokensPerStep(train)).toBe(96);
    expect(train).toMatchObject({ steps: 11, precision: 'bfloat16', threads: 3 });
    expect(train.tokens).toBeUndefined();
    const again = { ...parse({ steps: 1 }), train };
    expect(freeze(again, { threads: 8, bfloat16: false }).train).toEqual(train);
    expect(freeze(parse({ steps: 1 }), { ...machine, bfloat16: false }).train.precision).toBe('float32');
    const reference = parse({ steps: 1, executor: 'reference' });
    expect(freeze(reference, machine).train.precision).toBe('float32');
    expect(asFrozen({ ...again }, 'x').train).toEqual(train);
    expect(() => asFrozen(parse({ steps: 1 }), 'x')).toThrow(/x: .*fixed when it begins/);
  });
});
