import { describe, expect, it } from 'vitest';
import { byteTokenizer } from '../data/index.ts';
import type { EvaluatedModel } from './model.ts';
import { scoreNeedles } from './needle.ts';
import { tinyAttention, tinyModel } from './testing.ts';
import { readDocuments } from './text.ts';

const hay = readDocuments([Buffer.from('Grass grows, and the sun shines on it. '.repeat(20))], byteTokenizer);

/** The texts that the model was asked to go on with: what it read, by its programs' inputs. */
function listening(model: EvaluatedModel): { model: EvaluatedModel; read: () => string } {
  let bytes: number[] = [];
  const { executor } = model;
  return {
    model: {
      ...model,
      executor: {
        name: executor.name,
        threads: 1,
        createStore: () => executor.createStore(),
        load(program, store) {
          const loaded = executor.load(program, store);
          return {
            ...loaded,
            program,
            inputs: loaded.inputs,
            outputs: loaded.outputs,
            dispose: () => loaded.dispose(),
            run(options) {
              bytes.push(...(loaded.inputs.get('ids') ?? []));
              return loaded.run(options);
            },
          };
        },
      },
    },
    read() {
      const text = Buffer.from(byteTokenizer.decode(bytes)).toString();
      bytes = [];
      return text;
    },
  };
}

describe('a needle', () => {
  it('lies at its depth in a prompt of its length, and its beginning is asked again', async () => {
    const { model, read } = listening(tinyModel(tinyAttention));
    const prompts: string[] = [];
    const cells = await scoreNeedles(model, hay, {
      lengths: [200],
      trials: 1,
      seed: 1,
      onProgress: () => prompts.push(read()),
    });
    expect(cells.map(({ depth }) => depth)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]);
    prompts.forEach((prompt, index) => {
      const [, before, opening, number, after, asked, said] =
        /^<context> (.*) (The special magic \w+ number is:) (\d{7})\. (.*) <\/context>\n(The special magic \w+ number is:)(.*)$/s.exec(
          prompt,
        ) ?? [];
      expect(asked).toBe(opening);
      expect(` ${number}`.startsWith(said.slice(0, 7))).toBe(true);
      expect(Math.round((10 * before.length) / (before.length + after.length))).toBe(index);
    });
    expect(cells.every(({ accuracy, logLikelihood }) => accuracy === 0 && logLikelihood < -5)).toBe(true);
  });

  it('needs room and a long text', async () => {
    const model = tinyModel(tinyAttention);
    const options = { trials: 1, seed: 1 };
    await expect(scoreNeedles(model, hay, { ...options, lengths: [50] })).rejects.toThrow(/no room/);
    await expect(scoreNeedles(model, hay, { ...options, lengths: [2000] })).rejects.toThrow(/too few/);
  });
});
