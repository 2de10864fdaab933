/**
 * Compares a model with what its authors' code computed: weights, ids, logits, loss and gradients stand in one
 * safetensors file. Relative error: the largest absolute difference over the largest absolute value of the tensor.
 */
import { compile, differentiate, storeKey } from '../compiler/index.ts';
import { BraidError, Graph } from '../graph/index.ts';
import type { Executor, LoadedProgram, Store, TensorData } from '../runtime/index.ts';
import { buildModel } from './build.ts';
import type { ModelConfig } from './config.ts';
import { logitsOf, lossOf } from './head.ts';
import { parseFields } from './interchange/fields.ts';
import { readFlowhn } from './interchange/flowhn.ts';
import { understand } from './interchange/foreignModel.ts';
import { readTensors } from './interchange/importFolder.ts';
import type { MappedTensor } from './interchange/mapping.ts';
import { layOut, putPart } from './interchange/mapping.ts';
import { TensorSource } from './interchange/tensorSource.ts';
import { SafetensorsFile } from './safetensors.ts';

export interface GoldenResult {
  readonly file: string;
  readonly executor: string;
  /** Relative errors. */
  readonly logits: number;
  readonly loss: number;
  /** The worst gradient, and the name that its parameter has in the file. */
  readonly gradient: number;
  readonly gradientName: string;
  readonly passed: boolean;
}

/** What an implementation in float32 must keep to. */
const valueTolerance = 1e-4;
const gradientTolerance = 1e-3;

/** Builds the model of a file, runs it forward and backward and compares. Throws `BraidError('file')` for a bad file. */
export async function compareWithGolden(path: string, executor: Executor): Promise<GoldenResult> {
  const file = await SafetensorsFile.open(path);
  try {
    return await new Comparison(file, executor).run();
  } finally {
    await file.close();
  }
}

interface Runnable {
  readonly loaded: LoadedProgram;
  readonly tensors: readonly MappedTensor[];
}

class Comparison {
  readonly #file: SafetensorsFile;
  readonly #executor: Executor;
  readonly #weights: TensorSource;
  readonly #gradients: TensorSource;

  constructor(file: SafetensorsFile, executor: Executor) {
    this.#file = file;
    this.#executor = executor;
    this.#weights = TensorSource.within(file, 'weights.');
    this.#gradients = TensorSource.within(file, 'grad.');
  }

  async run(): Promise<GoldenResult> {
    const file = this.#file;
    const [batch = 0, length = 0] = file.entry('input_ids').shape;
    const ids = await file.readInt32('input_ids', [batch, length]);
    const store = this.#executor.createStore();
    try {
      const { loaded, tensors } = this.#load(batch, length, store);
      try {
        await readTensors(this.#weights, tensors, (name) => parameterData(store, name));
        writeInputs(loaded, ids, batch, length);
        await loaded.run();
        return await this.#compare(loaded, tensors);
      } finally {
        loaded.dispose();
      }
    } finally {
      store.dispose();
    }
  }

  #load(batch: number, length: number, store: Store): Runnable {
    const { config, tensors } = this.#understand();
    this.#weights.check(tensors);
    this.#gradients.check(tensors);
    const forward = new Graph();
    const model = buildModel(forward, config, { batch, length, documents: false });
    const targets = forward.source('input', 'targets', [batch, length], 'int32');
    const weights = forward.source('input', 'weights', [batch, length]);
    const { loss } = lossOf(model, targets, weights, batch * length);
    const logits = logitsOf(model, model.hidden);
    const parameters = forward.sources.filter((source) => source.role === 'parameter');
    const { graph, map, gradients } = differentiate(forward, loss, parameters);
    graph.output('logits', map(logits));
    graph.output('loss', map(loss));
    for (const [parameter, gradient] of gradients) graph.output(gradientName(parameter.name), gradient);
    const program = compile(graph, { name: 'golden', threads: this.#executor.threads });
    for (const parameter of parameters) store.tensor(storeKey(parameter), 'float32', parameter.shape);
    return { loaded: this.#executor.load(program, store), tensors };
  }

  /** Files with `hf_config` are of a family of the interchange; the others are FlowHN's. */
  #understand(): { readonly config: ModelConfig; readonly tensors: readonly MappedTensor[] } {
    const { path, metadata } = this.#file;
    const { hf_config: text } = metadata;
    if (text !== undefined) return understand(parseFields(path, text));
    const { config, rules } = readFlowhn(path, metadata);
    const { parameters } = buildModel(new Graph(), config, { batch: 1, length: 1, documents: false });
    return { config, tensors: layOut(rules, new Map(parameters.map(({ name, shape }) => [name, shape]))) };
  }

  async #compare(loaded: LoadedProgram, tensors: readonly MappedTensor[]): Promise<GoldenResult> {
    const logits = relativeError(output(loaded, 'logits'), await this.#file.readFloat32('logits'));
    const loss = relativeError(output(loaded, 'loss'), await this.#file.readFloat32('loss'));
    let gradient = 0;
    let worst = '';
    for (const whole of tensors) {
      const given = new Float32Array(whole.rows * whole.columns);
      for (const part of whole.parts) {
        // A parameter that the loss does not depend on has no gradient: zeros.
        const ours = loaded.outputs.get(gradientName(part.name));
        if (ours) putPart(given, whole, part, asFloats(ours));
      }
      const error = relativeError(given, await this.#gradients.read(whole.from));
      if (!(error <= gradient) || worst === '') {
        gradient = error;
        worst = whole.from;
      }
    }
    const passed = logits <= valueTolerance && loss <= valueTolerance && gradient <= gradientTolerance;
    const { name: executor } = this.#executor;
    return { file: this.#file.path, executor, logits, loss, gradient, gradientName: worst, passed };
  }
}

function parameterData(store: Store, name: string): Float32Array | Float64Array {
  const key = storeKey({ role: 'parameter', name });
  const found = store.find(key);
  if (found) return asFloats(found.data);
  throw new BraidError('graph', `The store has no '${key}'.`);
}

function asFloats(data: TensorData): Float32Array | Float64Array {
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  throw new BraidError('graph', 'Parameters and gradients are float tensors.');
}

function gradientName(parameter: string): string {
  return `gradient/${parameter}`;
}

/** Every position predicts the next one; the last of a row predicts nothing. The loss is the mean. */
function writeInputs(loaded: LoadedProgram, ids: Int32Array, batch: number, length: number): void {
  const count = batch * (length - 1);
  input(loaded, 'ids').set(ids);
  const next = input(loaded, 'targets');
  const weights = input(loaded, 'weights');
  // A model without rotary positions does not read them.
  const positions = loaded.inputs.get('positions');
  for (let index = 0; index < ids.length; index++) {
    const position = index % length;
    const last = position === length - 1;
    next[index] = last ? -1 : (ids[index + 1] ?? 0);
    weights[index] = last ? 0 : 1 / count;
    if (positions) positions[index] = position;
  }
}

type Numbers = { readonly length: number; [index: number]: number };

function input(loaded: LoadedProgram, name: string): TensorData {
  const found = loaded.inputs.get(name);
  if (!found) throw new BraidError('graph', `The program has no input '${name}'.`);
  return found;
}

function output(loaded: LoadedProgram, name: string): Numbers {
  const found = loaded.outputs.get(name);
  if (!found) throw new BraidError('graph', `The program has no output '${name}'.`);
  return found;
}

function largest(values: Numbers): number {
  let result = 0;
  for (let index = 0; index < values.length; index++) result = Math.max(result, Math.abs(values[index] ?? 0));
  return result;
}

/** A NaN anywhere is an infinite error; two tensors of zeros agree. */
function relativeError(given: Numbers, expected: Numbers): number {
  const scale = largest(expected);
  if (given.length !== expected.length) {
    throw new BraidError('file', `${expected.length} values were expected; the model gives ${given.length}.`);
  }
  let difference = 0;
  for (let index = 0; index < expected.length; index++) {
    const here = Math.abs((given[index] ?? 0) - (expected[index] ?? 0));
    if (!Number.isFinite(here)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, here);
  }
  if (difference === 0) return 0;
  return scale === 0 ? Number.POSITIVE_INFINITY : difference / scale;
}
