import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { byteTokenizer } from '../data/index.ts';
import type { EvaluationSettings } from './evaluate.ts';
import { evaluateTask, requireTasks, taskNames } from './evaluate.ts';
import { tinyAttention, tinyHybrid, tinyModel } from './testing.ts';
import { readDocuments } from './text.ts';

const documents = readDocuments(
  [Buffer.from('Grass grows, and the sun shines on it. '.repeat(8))],
  byteTokenizer,
);
const questions = [
  { goal: 'Sit', sol1: 'on a chair', sol2: 'on the sun', label: 0 },
  { goal: 'Eat', sol1: 'a stone', sol2: 'bread', label: 1 },
  { goal: 'Sing', sol1: 'aloud', sol2: 'a chair', label: 0 },
];
const file = join(mkdtempSync(join(tmpdir(), 'braid-evaluate-')), 'piqa.jsonl');
writeFileSync(file, questions.map((question) => JSON.stringify(question)).join('\n'));

const settings: EvaluationSettings = {
  window: 64,
  stride: 32,
  length: 32,
  lengths: [200],
  trials: 1,
  parts: 2,
  protocol: 'harness',
  documents: () => documents,
  questionsFile: () => file,
};

describe('a task by its name', () => {
  it.each([
    ['perplexity', 1, ['bits per byte', 'perplexity per token']],
    ['positions', 1, ['loss at 0 to 15', 'loss at 16 to 31']],
    ['piqa', 3, ['acc', 'acc_norm']],
  ])('%s gives its figures', async (name, examples, metrics) => {
    const found = await evaluateTask(name, tinyModel(tinyAttention), settings);
    expect(found).toMatchObject({ task: name, examples });
    expect(found.figures.map(({ metric }) => metric)).toEqual(metrics);
    expect(found.figures.every(({ value }) => Number.isFinite(value))).toBe(true);
    expect(found.notes.length).toBe(1);
  });

  it('takes the first ones only, by the other protocol too, and tells what each got', async () => {
    const records: unknown[] = [];
    const model = tinyModel(tinyAttention);
    const onAnswer: EvaluationSettings['onAnswer'] = (task, index, answer) =>
      records.push({ task: task.name, index, ...answer });
    const one = await evaluateTask('piqa', model, { ...settings, limit: 1, onAnswer });
    expect(one.examples).toBe(1);
    expect(records).toMatchObject([{ task: 'piqa', index: 0, answer: 0 }]);
    const released = await evaluateTask('piqa', model, { ...settings, protocol: 'flowhn' });
    expect(released.examples).toBe(2);
    expect(released.notes[0]).toMatch(/FlowHN's released scripts/);
  });

  it.each(['perplexity', 'positions', 'piqa'])(
    '%s says when the routing depends on the length',
    async (name) => {
      const model = tinyModel({ ...tinyHybrid, routing: { strategy: 'ae' } });
      const { notes } = await evaluateTask(name, model, { ...settings, limit: 1 });
      expect(notes.join()).toMatch(/the routing strategy 'ae' splits/);
    },
  );

  it('that does not exist is refused before any is run', () => {
    expect(() => requireTasks(['piqa', 'lambda'])).toThrow(/no task 'lambda'\. Did you mean 'lambada'/);
    expect(() => requireTasks(taskNames)).not.toThrow();
  });
});
