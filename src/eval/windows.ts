/**
 * A long text through a short window: where the windows lie, so that every token is predicted exactly once and, but for
 * those of the first window, with at least `window − stride` tokens before it.
 *
 *     tokens   0 1 2 3 4 5 6 7 8 9        window 4, stride 2; token 0 is the separator and is not predicted
 *     inputs   0 1 2 3                    predicts 1 2 3 4
 *                  2 3 4 5                predicts 5 6
 *                      4 5 6 7            predicts 7 8
 *                        5 6 7 8          predicts 9
 */
import { BraidError } from '../graph/index.ts';

export interface Window {
  /** Inputs are the tokens [begin, end); each predicts the next one. */
  readonly begin: number;
  readonly end: number;
  /** The first token that this window predicts; the ones before it were predicted by earlier windows. */
  readonly from: number;
}

/**
 * The windows over `count` tokens, whose first is only read. Every one but the first is as long as the window, so that
 * the last tokens have as much before them as the others.
 */
export function slidingWindows(count: number, window: number, stride: number): readonly Window[] {
  requireStride(window, stride);
  const last = count - 1;
  const found: Window[] = [];
  for (let from = 1; from <= last; ) {
    const end = Math.min(last, from === 1 ? window : from - 1 + stride);
    found.push({ begin: Math.max(0, end - window), end, from });
    from = end + 1;
  }
  return found;
}

function requireStride(window: number, stride: number): void {
  const whole = Number.isInteger(window) && Number.isInteger(stride);
  if (whole && stride >= 1 && stride <= window) return;
  throw new BraidError(
    'usage',
    `A window of ${window} tokens cannot move by ${stride}: both are whole numbers, and the stride lies between 1 and ` +
      'the window. Give another --window or --stride.',
  );
}
