import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../models/config.ts';
import { createSession } from './session.ts';
import { modelOf } from './testing.ts';

describe('a session of a model whose attention has a window', () => {
  it('keeps a bounded cache, however long it grows, and gives the logits of the whole sequence', async () => {
    const setup = modelOf('llama');
    const attention = { ...(setup.model.attention as object), window: 300, sinks: 4 };
    const near = { ...setup, model: parseModelConfig({ ...setup.model, attention }) };
    const tokens = Array.from({ length: 610 }, (_, index) => (index * 41 + 7) % 256);
    const session = createSession(near);
    const whole = createSession(near, { recompute: true });
    const entries = (): number[] =>
      setup.store.keys().flatMap((key) => {
        const cache = key.endsWith('.keys') ? setup.store.find(key) : undefined;
        return cache ? [cache.shape[1]] : [];
      });
    let at = 0;
    // A first capacity of 256, one that would be 512, a ring that turns, and single tokens in it.
    for (const [piece, bound] of [
      [250, 256],
      [45, 304],
      [312, 304],
      [1, 304],
      [1, 304],
    ]) {
      const next = tokens.slice(at, at + piece);
      const found = await session.feed(next);
      const expected = await whole.feed(next);
      const difference = Math.max(...found.map((value, index) => Math.abs(value - expected[index])));
      expect(difference, `${at + piece} tokens`).toBeLessThan(1e-9);
      expect(entries()).toEqual([bound, bound]);
      at += piece;
    }
    session.dispose();
  });
});
