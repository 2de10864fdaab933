import type { DType, Shape } from '../graph/index.ts';
import { BraidError, describeType, elementCount, sameShape } from '../graph/index.ts';
import type { Store, StoredTensor } from './executor.ts';
import type { ReferencePrecision, ReferenceValues } from './referenceValues.ts';
import { elementBytes, viewValues } from './referenceValues.ts';

export interface ReferenceTensor extends StoredTensor {
  readonly data: ReferenceValues;
}

/** Persistent tensors of the reference executor, as ordinary arrays. */
export class ReferenceStore implements Store {
  readonly precision: ReferencePrecision;
  readonly #tensors = new Map<string, ReferenceTensor>();

  constructor(precision: ReferencePrecision) {
    this.precision = precision;
  }

  tensor(key: string, dtype: DType, shape: Shape): ReferenceTensor {
    const known = this.#tensors.get(key);
    if (known) {
      if (known.dtype !== dtype || !sameShape(known.shape, shape)) {
        throw new BraidError(
          'executor',
          `'${key}' is stored as ${describeType(known)}, but asked for as ${describeType({ dtype, shape })}. ` +
            `Programs that share a store must agree; use another store or delete the tensor first.`,
        );
      }
      return known;
    }
    const count = elementCount(shape);
    const memory = new ArrayBuffer(count * elementBytes(dtype, this.precision));
    const data = viewValues(memory, 0, count, dtype, this.precision);
    const tensor: ReferenceTensor = { key, dtype, shape: [...shape], data };
    this.#tensors.set(key, tensor);
    return tensor;
  }

  find(key: string): ReferenceTensor | undefined {
    return this.#tensors.get(key);
  }

  keys(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  delete(key: string): void {
    this.#tensors.delete(key);
  }

  get bytes(): number {
    let sum = 0;
    for (const { data } of this.#tensors.values()) sum += data.byteLength;
    return sum;
  }

  dispose(): void {
    this.#tensors.clear();
  }
}
