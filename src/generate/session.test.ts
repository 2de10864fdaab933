import { describe, expect, it } from 'vitest';
import { byteTokenizer } from '../data/index.ts';
import { decodeStream, encodePrompt, generate } from './generate.ts';
import { chooseLanes } from './lanes.ts';
import { defaultSampling } from './sampler.ts';
import type { Logits } from './session.ts';
import { createSession } from './session.ts';
import { modelOf } from './testing.ts';

const tokens = Array.from({ length: 90 }, (_, index) => (index * 73 + 11) % 256);

function difference(a: Logits, b: Logits): number {
  return Math.max(...a.map((value, index) => Math.abs(value - b[index])));
}

describe.each(['llama', 'mamba1', 'shm', 'flowhn-none', 'flowhn-chunks'])('%s with states', (preset) => {
  it('gives the logits of the whole sequence, in pieces and token by token', async () => {
    const setup = modelOf(preset);
    const whole = createSession(setup, { recompute: true });
    const session = createSession(setup);
    let at = 0;
    for (const piece of [73, 1, 1, 9, 1, 5]) {
      const next = tokens.slice(at, at + piece);
      const expected = await whole.feed(next);
      expect(difference(await session.feed(next), expected)).toBeLessThan(1e-9);
      at += piece;
      expect(session.length).toBe(at);
    }
    session.reset();
    whole.reset();
    const expected = await whole.feed(tokens.slice(0, 3));
    expect(difference(await session.feed(tokens.slice(0, 3)), expected)).toBeLessThan(1e-9);
    session.dispose();
    expect(setup.store.keys().filter((key) => key.startsWith('state/'))).toEqual([]);
  });
});

describe('lanes', () => {
  it.each(['flowhn-none', 'flowhn-chunks'])('of %s give the same logits', async (preset) => {
    const setup = { ...modelOf(preset), threads: 2 };
    const [on, off] = [true, false].map((lanes) => createSession({ ...setup, lanes }));
    for (const at of [0, 5, 6]) {
      const next = tokens.slice(at, at === 0 ? 5 : at + 1);
      expect(difference(await on.feed(next), await off.feed(next))).toBeLessThan(1e-9);
    }
  });

  it('are chosen by time, and leave nothing behind', async () => {
    const setup = { ...modelOf('flowhn-none'), threads: 2 };
    const before = setup.store.keys().length;
    const { lanes, on, off } = await chooseLanes(setup);
    expect(lanes).toBe(on < off);
    expect(on).toBeGreaterThan(0);
    expect(setup.store.keys()).toHaveLength(before);
    const none = { lanes: false, off: 0, on: 0 };
    expect(await chooseLanes({ ...modelOf('llama'), threads: 2 })).toEqual(none);
    expect(await chooseLanes({ ...modelOf('flowhn-none'), threads: 1 })).toEqual(none);
  });
});

describe('sessions', () => {
  it.each(['llama', 'flowhn-chunks'])('of %s grow beyond their first capacity', async (preset) => {
    const setup = modelOf(preset);
    const long = Array.from({ length: 260 }, (_, index) => (index * 41) % 256);
    const session = createSession(setup);
    await session.feed(long.slice(0, 250));
    const found = await session.feed(long.slice(250));
    const expected = await createSession(setup, { recompute: true }).feed(long);
    expect(difference(found, expected)).toBeLessThan(1e-9);
  });

  it.each(['ae', 'fa', 'fac', 'fa-code', 'fac-code'])('of flowhn-%s need --recompute', async (strategy) => {
    const setup = modelOf(`flowhn-${strategy}`);
    expect(() => createSession(setup)).toThrow(new RegExp(`'${strategy}' splits.*--recompute`));
    const session = createSession(setup, { recompute: true });
    const logits = await session.feed(tokens.slice(0, 6));
    expect(logits).toHaveLength(257);
    expect(logits.every(Number.isFinite)).toBe(true);
  });

  it('need something to continue', async () => {
    await expect(createSession(modelOf('llama')).feed([])).rejects.toThrow(/at least one token/);
  });
});

describe('generating', () => {
  async function text(
    seed: number,
    options: { temperature?: number; tokens?: number } = {},
  ): Promise<number[]> {
    const session = createSession(modelOf('flowhn-chunks'));
    const sampling = { ...defaultSampling, temperature: options.temperature ?? 1, seed };
    const found: number[] = [];
    const prompt = encodePrompt('once', byteTokenizer);
    for await (const token of generate(session, prompt, { sampling, tokens: options.tokens ?? 12 }))
      found.push(token);
    return found;
  }

  it('repeats itself for one seed and differs for another', async () => {
    const first = await text(1);
    expect(first).toHaveLength(12);
    expect(await text(1)).toEqual(first);
    expect(await text(2)).not.toEqual(first);
    expect(await text(2, { temperature: 0 })).toEqual(await text(1, { temperature: 0 }));
  });

  it('ends at the stop token and when told', async () => {
    const [, second, third] = await text(1);
    const session = createSession(modelOf('flowhn-chunks'));
    const options = { sampling: { ...defaultSampling, temperature: 1, seed: 1 }, tokens: 12 };
    const found: number[] = [];
    const controller = new AbortController();
    const prompt = encodePrompt('once', byteTokenizer);
    for await (const token of generate(session, prompt, { ...options, stop: third })) found.push(token);
    expect(found.at(-1)).toBe(second);
    session.reset();
    found.length = 0;
    for await (const token of generate(session, prompt, { ...options, signal: controller.signal })) {
      found.push(token);
      controller.abort();
    }
    expect(found).toHaveLength(1);
  });

  it('gives out characters when they are whole', async () => {
    async function* bytes(): AsyncGenerator<number> {
      yield* Buffer.from('aä€').values();
    }
    const pieces: string[] = [];
    for await (const piece of decodeStream(bytes(), byteTokenizer)) pieces.push(piece);
    expect(pieces).toEqual(['a', 'ä', '€']);
  });
});
