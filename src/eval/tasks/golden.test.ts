/** Every choice of every question, as lm-evaluation-harness scores it (tools/golden/evaluation.py). */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createExecutor, inspectNative } from '../../runtime/index.ts';
import type { ContinuationScorer } from '../continuation.ts';
import { folderLength, loadFolder } from '../folder.ts';
import type { EvaluatedModel } from '../model.ts';
import { PrefixScorer } from '../prefixScorer.ts';
import { answerQuestions } from './choice.ts';
import { readQuestions } from './documents.ts';
import { figuresOf } from './figures.ts';
import { choiceTasks } from './registry.ts';

const folder = fileURLToPath(new URL('../../../test/fixtures/golden/evaluation/', import.meta.url));
const executor = inspectNative().available ? 'native' : 'reference';

interface Expected {
  readonly figures: Readonly<Record<string, number>>;
  /** Per question, per choice: Σ log p, and whether it is what the model would have said. */
  readonly items: readonly (readonly (readonly [number, boolean])[])[];
}

describe.each(['llama', 'mamba'])('%s', (name) => {
  const expected = JSON.parse(readFileSync(`${folder}${name}.json`, 'utf8')) as Record<string, Expected>;
  const length = folderLength(`${folder}${name}`);
  let model: EvaluatedModel;
  let scorer: ContinuationScorer;

  beforeAll(async () => {
    model = await loadFolder(`${folder}${name}`, {
      executor: createExecutor(executor, { threads: 2 }),
      precision: 'float32',
    });
    scorer = new PrefixScorer(model);
  });

  afterAll(() => {
    scorer.dispose();
    model.store.dispose();
  });

  it.each(choiceTasks)('$name', async (task) => {
    const { figures, items } = expected[task.name];
    const { questions } = readQuestions(task, `${folder}${task.name}.jsonl`);
    const answers = await answerQuestions(task, questions, scorer, {
      protocol: 'harness',
      encoding: { ...model, length },
    });
    expect(answers.length).toBe(items.length);
    answers.forEach(({ scores }, index) => {
      expect(scores.length).toBe(items[index].length);
      items[index].forEach(([logLikelihood, greedy], choice) => {
        const found = scores[choice];
        const error = Math.abs(found.logLikelihood - logLikelihood) / Math.abs(logLikelihood);
        expect(
          error,
          `question ${index}, choice ${choice}: ${found.logLikelihood}, not ${logLikelihood}`,
        ).toBeLessThan(2e-5);
        if (found.greedy !== undefined) expect(found.greedy).toBe(greedy);
      });
    });
    for (const { metric, value, standardError } of figuresOf(task, answers)) {
      if (metric === 'balanced_acc') continue;
      const wanted = figures[metric];
      expect(Math.abs(value - wanted), metric).toBeLessThanOrEqual(
        metric === 'perplexity' ? 1e-3 * wanted : 1e-12,
      );
      if (metric !== 'perplexity') expect(standardError, metric).toBeCloseTo(figures[`${metric}_stderr`], 12);
    }
  });
});
