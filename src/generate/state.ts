/** What a session carries, taken out of it: to go on later, elsewhere, or several times from the same place. */
import type { StateBinding } from '../blocks/index.ts';
import type { DType, Shape } from '../graph/index.ts';
import { BraidError, sameShape } from '../graph/index.ts';
import type { TensorData } from '../runtime/index.ts';

export interface StateTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** A copy: it stays as it is while the session goes on. */
  readonly data: TensorData;
}

export interface SessionState {
  /** Tokens that were fed. */
  readonly length: number;
  /** Tokens that its caches have room for; 0 where nothing was fed, or where everything is computed again. */
  readonly capacity: number;
  readonly tensors: readonly StateTensor[];
}

/** Bytes of the tensors of a state. */
export function stateBytes({ tensors }: SessionState): number {
  return tensors.reduce((sum, { data }) => sum + data.byteLength, 0);
}

/** Checks that a state is one of a session with these tensors; nothing is changed when it is not. */
export function checkState(
  { length, capacity, tensors }: SessionState,
  expected: readonly Pick<StateBinding, 'name' | 'shape' | 'dtype'>[],
): void {
  const whole = [length, capacity].every((value) => Number.isSafeInteger(value) && value >= 0);
  if (!whole) throw mismatch(`it says ${length} tokens with room for ${capacity}`);
  const missing = expected.find(({ name }) => !tensors.some((tensor) => tensor.name === name));
  if (missing) throw mismatch(`it lacks '${missing.name}'`);
  for (const { name, dtype, shape, data } of tensors) {
    const wanted = expected.find((tensor) => tensor.name === name);
    if (!wanted) throw mismatch(`it has '${name}', which the session has not`);
    const size = shape.reduce((product, extent) => product * extent, 1);
    if (wanted.dtype !== dtype || !sameShape(wanted.shape, shape) || data.length !== size) {
      throw mismatch(
        `its '${name}' is ${dtype}[${shape.join(', ')}], and the session has ${wanted.dtype}[${wanted.shape.join(', ')}]`,
      );
    }
  }
}

function mismatch(what: string): BraidError {
  return new BraidError(
    'checkpoint',
    `The state does not fit this session: ${what}. A state goes on only with the model that it was made with, and one ` +
      'of a session that recomputes only with recomputing.',
  );
}
