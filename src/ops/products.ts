/** The plain matrix product behind `matmul` and the loss. */
import type { Values } from '../graph/index.ts';

/** The transpose of a row-major [rows, columns]. */
export function transposed(values: Values, rows: number, columns: number): Float64Array {
  const result = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column];
    }
  }
  return result;
}

/**
 * target[m, n] = Σₖ a[m, k] · b[n, k]. Both operands have the contracted axis last, so that memory is read in order; four
 * columns at a time keep four independent sums going.
 */
export function productOfRows(a: Values, b: Values, target: Values, m: number, n: number, k: number): void {
  for (let row = 0; row < m; row++) {
    const start = row * k;
    let column = 0;
    for (; column + 4 <= n; column += 4) {
      const b0 = column * k;
      const b1 = b0 + k;
      const b2 = b1 + k;
      const b3 = b2 + k;
      let sum0 = 0;
      let sum1 = 0;
      let sum2 = 0;
      let sum3 = 0;
      for (let i = 0; i < k; i++) {
        const value = a[start + i];
        sum0 += value * b[b0 + i];
        sum1 += value * b[b1 + i];
        sum2 += value * b[b2 + i];
        sum3 += value * b[b3 + i];
      }
      const at = row * n + column;
      target[at] = sum0;
      target[at + 1] = sum1;
      target[at + 2] = sum2;
      target[at + 3] = sum3;
    }
    for (; column < n; column++) {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += a[start + i] * b[column * k + i];
      target[row * n + column] = sum;
    }
  }
}
