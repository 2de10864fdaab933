/** The inputs and outputs of a loaded program with the types that its graph gave them. */
import { BraidError } from '../graph/index.ts';
import type { TensorData } from '../runtime/executor.ts';

type Views = ReadonlyMap<string, TensorData>;

/** An int32 tensor of a program. */
export function integerInput(views: Views, name: string): Int32Array {
  const view = find(views, name);
  if (view instanceof Int32Array) return view;
  throw new BraidError('executor', `The program's '${name}' is not an int32 tensor.`);
}

/** A float tensor of a program: doubles on the reference executor in float64. */
export function numberInput(views: Views, name: string): Float32Array | Float64Array {
  const view = find(views, name);
  if (view instanceof Float32Array || view instanceof Float64Array) return view;
  throw new BraidError('executor', `The program's '${name}' is not a float tensor.`);
}

function find(views: Views, name: string): TensorData {
  const view = views.get(name);
  if (view) return view;
  throw new BraidError('executor', `The program has no '${name}'; it has ${[...views.keys()].join(', ')}.`);
}
