import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensors } from '../models/index.ts';
import type { Logits, Session, SessionOptions } from './session.ts';
import { createSession } from './session.ts';
import type { SessionState } from './state.ts';
import { stateBytes } from './state.ts';
import { loadState, saveState } from './stateFile.ts';
import { modelOf } from './testing.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'braid-state-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const tokens = Array.from({ length: 60 }, (_, index) => (index * 73 + 11) % 256);

async function feed(session: Session, from: number, to: number): Promise<number[]> {
  const logits: Logits = await session.feed(tokens.slice(from, to));
  return Array.from(logits);
}

const kinds: readonly (readonly [preset: string, options: SessionOptions])[] = [
  ['llama', {}],
  ['shm', {}],
  ['flowhn-none', {}],
  ['flowhn-chunks', {}],
  ['flowhn-fac', { recompute: true }],
];

describe.each(kinds)('a state of %s %o', (preset, options) => {
  it('goes on as if nothing had happened: from a snapshot, in a copy, from a file', async () => {
    const setup = modelOf(preset);
    const owner = { ...setup, tokenizer: 'bytes' };
    const path = join(folder, `${preset}.safetensors`);
    const session = createSession(setup, options);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 9 }), async (cut, more) => {
        session.reset();
        await feed(session, 0, cut);
        const state = session.snapshot();
        const copy = session.copy();
        await saveState(path, { state, pending: [7] }, owner);
        const expected = await feed(session, cut, cut + more);

        expect(copy.length).toBe(cut);
        expect(await feed(copy, cut, cut + more)).toEqual(expected);
        expect(session.length).toBe(cut + more);
        session.restore(state);
        expect(await feed(session, cut, cut + more)).toEqual(expected);

        const loaded = await loadState(path, owner);
        expect(loaded.pending).toEqual([7]);
        const other = createSession(setup, options);
        other.restore(loaded.state);
        expect(await feed(other, cut, cut + more)).toEqual(expected);
        copy.dispose();
        other.dispose();
      }),
      { numRuns: 3, seed: 1 },
    );
    session.dispose();
    expect(setup.store.keys().filter((key) => key.startsWith('state/'))).toEqual([]);
  });
});

describe('sessions of one model', () => {
  it('go different ways from one place', async () => {
    const setup = modelOf('flowhn-chunks');
    const [first, alone] = [createSession(setup), createSession(setup)];
    await feed(first, 0, 9);
    const second = first.copy();
    await first.feed([1, 2, 3]);
    await second.feed([200]);
    await alone.feed([...tokens.slice(0, 9), 1, 2, 3]);
    expect(Array.from(await first.feed([5]))).toEqual(Array.from(await alone.feed([5])));
  });

  it('copy and restore before anything was fed', async () => {
    const setup = modelOf('shm');
    const session = createSession(setup);
    const empty = session.snapshot();
    expect(empty).toEqual({ length: 0, capacity: 0, tensors: [] });
    const expected = await feed(session.copy(), 0, 5);
    await feed(session, 3, 30);
    session.restore(empty);
    expect(session.length).toBe(0);
    expect(await feed(session, 0, 5)).toEqual(expected);
  });

  it('say how many bytes they carry', async () => {
    const session = createSession(modelOf('mamba1'));
    expect(session.bytes).toBe(0);
    await feed(session, 0, 3);
    // Two layers: a window of 3 inputs and 2 states for each of 16 inner features, as doubles.
    expect(session.bytes).toBe(2 * (3 * 16 + 16 * 2) * 8);
    expect(stateBytes(session.snapshot())).toBe(session.bytes);
    const recomputing = createSession(modelOf('mamba1'), { recompute: true });
    await feed(recomputing, 0, 3);
    expect(recomputing.bytes).toBe(12);
  });
});

describe('a state that does not fit', () => {
  async function stateOf(preset: string, options: SessionOptions = {}): Promise<SessionState> {
    const session = createSession(modelOf(preset), options);
    await feed(session, 0, 5);
    return session.snapshot();
  }

  it('is refused, and the session stays as it was', async () => {
    const session = createSession(modelOf('shm'));
    await feed(session, 0, 5);
    const before = session.snapshot();
    const [tensor, ...others] = before.tensors;
    const cases: readonly (readonly [SessionState, RegExp])[] = [
      [await stateOf('llama'), /lacks 'blocks\.0\./],
      [await stateOf('shm', { recompute: true }), /'tokens', which the session has not/],
      [{ ...before, tensors: others }, new RegExp(`lacks '${tensor.name}'`)],
      [{ ...before, tensors: [{ ...tensor, shape: [1, 2, 3] }, ...others] }, /\[1, 2, 3\].*session has/],
      [{ ...before, length: -1 }, /-1 tokens/],
    ];
    for (const [state, message] of cases) expect(() => session.restore(state)).toThrow(message);
    expect(session.snapshot()).toEqual(before);
  });

  it('is refused when it was made by other weights, another model or another tokenizer', async () => {
    const setup = modelOf('shm');
    const session = createSession(setup);
    await feed(session, 0, 5);
    const path = join(folder, 'owned.safetensors');
    const owner = { ...setup, tokenizer: 'bytes' };
    await saveState(path, { state: session.snapshot(), pending: [] }, owner);
    await expect(loadState(path, { ...modelOf('llama'), tokenizer: 'bytes' })).rejects.toThrow(
      /another model/,
    );
    await expect(loadState(path, { ...owner, tokenizer: 'words' })).rejects.toThrow(/another tokenizer/);
    const [key = ''] = setup.store.keys().filter((name) => name.startsWith('parameter/'));
    const weight = setup.store.find(key);
    if (weight) weight.data[0] += 1;
    await expect(loadState(path, owner)).rejects.toThrow(/other weights.*take the run/);
  });

  it('is refused when the file is another one, damaged, or missing', async () => {
    const owner = { ...modelOf('shm'), tokenizer: 'bytes' };
    const path = join(folder, 'bad.safetensors');
    await writeSafetensors(path, []);
    await expect(loadState(path, owner)).rejects.toThrow(/not a state.*no 'braid-state'.*--save-state/);
    await writeSafetensors(path, [], { metadata: { 'braid-state': '{' } });
    await expect(loadState(path, owner)).rejects.toThrow(/is not JSON/);
    await writeSafetensors(path, [], { metadata: { 'braid-state': '{"version":2}' } });
    await expect(loadState(path, owner)).rejects.toThrow(/'version' of its header/);
    const session = createSession(modelOf('shm'));
    await feed(session, 0, 5);
    await saveState(path, { state: session.snapshot(), pending: [] }, owner);
    writeFileSync(path, readFileSync(path).subarray(0, -9));
    await expect(loadState(path, owner)).rejects.toThrow(/bad\.safetensors/);
    await expect(loadState(join(folder, 'none'), owner)).rejects.toThrow(/none/);
    expect(existsSync(`${path}.partial`)).toBe(false);
  });
});
