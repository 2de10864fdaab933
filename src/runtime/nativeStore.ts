import type { DType, Shape } from '../graph/index.ts';
import { BraidError, describeType, sameShape } from '../graph/index.ts';
import { type Addon, type AddonStore, fromAddon } from './addon.ts';
import type { Store, StoredTensor, TensorData } from './executor.ts';

/** The bits of a buffer as the array type of its dtype. */
export function viewBits(buffer: ArrayBuffer, dtype: DType): TensorData {
  if (dtype === 'float32') return new Float32Array(buffer);
  return dtype === 'int32' ? new Int32Array(buffer) : new Uint16Array(buffer);
}

interface Held {
  readonly tensor: StoredTensor;
  readonly buffer: ArrayBuffer;
  /** Loaded programs that use it. */
  users: number;
}

/** Persistent tensors in native memory. `data` is that memory; it is taken away when the tensor is deleted. */
export class NativeStore implements Store {
  readonly native: AddonStore;
  readonly #addon: Addon;
  readonly #held = new Map<string, Held>();

  constructor(addon: Addon) {
    this.#addon = addon;
    this.native = new addon.Store();
  }

  tensor(key: string, dtype: DType, shape: Shape): StoredTensor {
    return this.#hold(key, dtype, shape).tensor;
  }

  /** Notes that a program uses the tensor, until `release`. */
  retain(key: string, dtype: DType, shape: Shape): StoredTensor {
    const held = this.#hold(key, dtype, shape);
    held.users++;
    return held.tensor;
  }

  release(key: string): void {
    const held = this.#held.get(key);
    if (held) held.users--;
  }

  find(key: string): StoredTensor | undefined {
    return this.#held.get(key)?.tensor;
  }

  keys(): readonly string[] {
    return [...this.#held.keys()];
  }

  delete(key: string): void {
    const held = this.#held.get(key);
    if (!held) return;
    if (held.users > 0) {
      throw new BraidError(
        'executor',
        `'${key}' cannot be deleted: ${held.users} loaded program(s) use it. Dispose of them first.`,
      );
    }
    this.#held.delete(key);
    this.native.remove(key);
    this.#addon.detach(held.buffer);
  }

  get bytes(): number {
    return this.native.bytes();
  }

  /** Programs that are still loaded keep the memory they use; its views here are taken away. */
  dispose(): void {
    for (const { buffer } of this.#held.values()) this.#addon.detach(buffer);
    this.#held.clear();
    this.native.clear();
  }

  #hold(key: string, dtype: DType, shape: Shape): Held {
    const known = this.#held.get(key);
    if (known) {
      if (known.tensor.dtype !== dtype || !sameShape(known.tensor.shape, shape)) {
        throw new BraidError(
          'executor',
          `'${key}' is stored as ${describeType(known.tensor)}, but asked for as ${describeType({ dtype, shape })}. ` +
            'Programs that share a store must agree; use another store or delete the tensor first.',
        );
      }
      return known;
    }
    const buffer = fromAddon(() => this.native.tensor(key, dtype, shape));
    const held = {
      tensor: { key, dtype, shape: [...shape], data: viewBits(buffer, dtype) },
      buffer,
      users: 0,
    };
    this.#held.set(key, held);
    return held;
  }
}
