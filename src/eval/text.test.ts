import { describe, expect, it } from 'vitest';
import { byteTokenizer, packDocuments } from '../data/index.ts';
import type { EvaluatedModel } from './model.ts';
import { RowScorer } from './rows.ts';
import { tinyAttention, tinyHybrid, tinyModel } from './testing.ts';
import { documentsOf, readDocuments, scorePositions, scoreText } from './text.ts';

const texts = ['hello', 'a somewhat longer text, so that windows move', 'é'].map((text) => Buffer.from(text));
const documents = readDocuments(texts, byteTokenizer);

/** −log p of each token of a text, each from all that stands before it in a row of its own. */
async function naive(model: EvaluatedModel, text: Uint8Array, most: number): Promise<number[]> {
  const tokens = Int32Array.of(256, ...text);
  const losses: number[] = [];
  for (let end = 1; end < tokens.length; end++) {
    const scorer = new RowScorer(model, { length: 64 });
    const part = tokens.subarray(Math.max(0, end - most), end + 1);
    await scorer.score([{ tokens: part, from: part.length - 1 }], (_, [loss]) => losses.push(loss));
    scorer.dispose();
  }
  return losses;
}

describe('a text through a window', () => {
  it('that holds it all gives what each token gets from all before it', async () => {
    const model = tinyModel(tinyAttention);
    const found = await scoreText(model, documents, { window: 64, stride: 64 });
    const losses = (await Promise.all(texts.map((text) => naive(model, text, 64)))).flat();
    expect(found).toMatchObject({ tokens: 51, bytes: 51, documents: 3 });
    expect(found.loss).toBeCloseTo(losses.reduce((sum, loss) => sum + loss, 0) / 51, 9);
    expect(found.bitsPerByte).toBeCloseTo(found.loss / Math.LN2, 9);
    expect(found.perplexity).toBeCloseTo(Math.exp(found.loss), 9);
  });

  it('that moves token by token gives what each token gets from the window before it', async () => {
    const model = tinyModel(tinyAttention);
    const found = await scoreText(model, documents, { window: 8, stride: 1 });
    const losses = (await Promise.all(texts.map((text) => naive(model, text, 8)))).flat();
    expect(found.loss).toBeCloseTo(losses.reduce((sum, loss) => sum + loss, 0) / 51, 9);
  });

  it('does not depend on the stride when the model looks at one token only', async () => {
    const model = tinyModel({
      pattern: 'attention+mlp',
      attention: { heads: 2, window: 1 },
      mlp: { width: 8 },
    });
    const one = await scoreText(model, documents, { window: 8, stride: 3 });
    const other = await scoreText(model, documents, { window: 64, stride: 64 });
    expect(one.loss).toBeCloseTo(other.loss, 9);
  });

  it('keeps rows at full length for a model that splits by length', async () => {
    const model = tinyModel({ ...tinyHybrid, routing: { strategy: 'ae' } });
    const lengths: number[] = [];
    const scorer = new RowScorer({ ...model, executor: spy(model, lengths) }, { length: 128 });
    await scorer.score([{ tokens: Int32Array.of(256, 1, 2), from: 1 }], () => undefined);
    expect(lengths).toEqual([128]);
  });

  it('says where progress stands, and stops when told', async () => {
    const shown: number[] = [];
    const model = tinyModel(tinyAttention);
    await scoreText(model, documents, { window: 64, stride: 64, onProgress: (done) => shown.push(done) });
    expect(shown.at(-1)).toBe(51);
    const signal = AbortSignal.abort();
    await expect(scoreText(model, documents, { window: 64, stride: 64, signal })).rejects.toThrow();
  });

  it('that is empty is refused', async () => {
    await expect(scoreText(tinyModel(tinyAttention), [], { window: 8, stride: 8 })).rejects.toThrow(/empty/);
  });
});

/** An executor that writes down the row length of every program. */
function spy({ executor }: EvaluatedModel, lengths: number[]): EvaluatedModel['executor'] {
  return {
    ...executor,
    name: executor.name,
    threads: 1,
    createStore: () => executor.createStore(),
    load(program, store) {
      lengths.push(program.buffers[program.inputs.ids].shape[1]);
      return executor.load(program, store);
    },
  };
}

describe('the loss by position', () => {
  it('is the mean over the documents that are long enough', async () => {
    const model = tinyModel(tinyAttention);
    const long = readDocuments(
      ['sixteen letters.', 'and another text', 'short'].map((text) => Buffer.from(text)),
      byteTokenizer,
    );
    const found = await scorePositions(model, long, { length: 16, parts: 4 });
    expect(found.documents).toBe(2);
    expect(found.parts.map(({ begin, end }) => [begin, end])).toEqual([
      [0, 4],
      [4, 8],
      [8, 12],
      [12, 16],
    ]);
    const each = await Promise.all(
      long.slice(0, 2).map(({ tokens }) => naive(model, Uint8Array.from(tokens), 64)),
    );
    const wanted = each.flatMap((losses) => losses.slice(4, 8)).reduce((sum, loss) => sum + loss, 0) / 8;
    expect(found.parts[1].loss).toBeCloseTo(wanted, 9);
  });

  it('needs a document of that length', async () => {
    const measured = scorePositions(tinyModel(tinyAttention), documents, { length: 100, parts: 4 });
    await expect(measured).rejects.toThrow(/the longest one has 44/);
  });
});

describe('documents of a stream', () => {
  it('are those that were packed', () => {
    expect(documentsOf(packDocuments(texts, byteTokenizer), byteTokenizer)).toEqual(documents);
  });
});
