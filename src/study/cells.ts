/** All cells of a comparison, in their order, in as many places as its crew has. */
import type { CellResult, Measuring } from './cell.ts';
import type { Crew } from './crew.ts';
import type { Cell, Design } from './design.ts';
import { cellOf, ratesOf } from './design.ts';
import type { MeasuredRow } from './results.ts';
import { tuningDocuments } from './results.ts';
import type { ComparisonOptions } from './run.ts';
import { inOrder } from './schedule.ts';

export interface CellsOptions extends Pick<ComparisonOptions, 'signal' | 'warn' | 'onStep' | 'onCell'> {
  readonly design: Design;
  /** Of each row. */
  readonly steps: readonly number[];
  readonly crew: Crew;
  readonly folder: string;
  readonly measuring: Measuring;
}

/**
 * Seed by seed: what else the machine does then falls on all models alike. The first seed also finds the learning rate of
 * each row. A cell that fails stops the others, which save.
 */
export async function runCells(options: CellsOptions): Promise<MeasuredRow[]> {
  const { design, steps, crew } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([failed.signal, ...(options.signal ? [options.signal] : [])]);
  const train = (cells: readonly Cell[]): Promise<CellResult[]> =>
    inOrder(
      cells.map((cell) => () => runOne(cell, { ...options, signal })),
      crew.places,
      () => failed.abort(),
    );
  const { rows, seeds } = design;
  const [first, ...others] = seeds;
  const rates = rows.map((row) => ratesOf(design, row));
  const firsts = rows.flatMap((row, index) =>
    rates[index].map((rate) => cellOf(design, row, first, rate, steps[index])),
  );
  const rest = (rateOf: (row: number) => number): Cell[] =>
    others.flatMap((seed) =>
      rows.map((row, index) => cellOf(design, row, seed, rateOf(index), steps[index])),
    );
  // Where no rate is chosen nothing waits for the first seed.
  const known = rates.every(({ length }) => length === 1);
  const begun = await train(known ? [...firsts, ...rest((row) => rates[row][0])] : firsts);
  const best = rows.map(({ name }) =>
    begun
      .slice(0, firsts.length)
      .filter(({ row }) => row === name)
      .reduce((a, b) => (tuningLoss(b) < tuningLoss(a) ? b : a)),
  );
  const later = known ? begun.slice(firsts.length) : await train(rest((row) => best[row].learningRate));
  return rows.map((row, index) => ({
    row,
    cells: [best[index], ...others.map((_, seed) => later[seed * rows.length + index])],
  }));
}

function tuningLoss({ nats }: CellResult): number {
  return tuningDocuments(nats.length).reduce((sum, index) => sum + nats[index], 0);
}

async function runOne(cell: Cell, options: CellsOptions): Promise<CellResult> {
  const { crew, design, folder, measuring, signal, warn, onStep, onCell } = options;
  const result = await crew.run(
    { cell, folder, data: design.data, measuring },
    {
      ...(signal ? { signal } : {}),
      warn,
      onStep: (metrics, steps) => onStep?.(cell, metrics, steps),
    },
  );
  onCell?.(cell, result);
  return result;
}
