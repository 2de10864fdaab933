/**
 * Compares a model with what its authors' code computed: weights, ids, logits, loss and gradients stand in one
 * safetensors file. Relative error: the largest absolute difference over the largest absolute value of the tensor.
 */
import { compile, differentiate, storeKey } from '../compiler/index.ts';
import { BraidError, Graph } from '../graph/index.ts';
import { linearCrossEntropy, matmul } from '../ops/index.ts';
import type { Executor, LoadedProgram, Store, TensorData } from '../runtime/index.ts';
import { buildModel } from './build.ts';
import { readFlowhn } from './flowhnMapping.ts';
import type { MappedTensor } from './importMapping.ts';
import { expandRules, layOut, takePart } from './importMapping.ts';
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

  constructor(file: SafetensorsFile, executor: Executor) {
    this.#file = file;
    this.#executor = executor;
  }

  async run(): Promise<GoldenResult> {
    const file = this.#file;
    const [batch = 0, length = 0] = file.entry('input_ids').shape;
    const ids = await file.readInt32('input_ids', [batch, length]);
    const store = this.#executor.createStore();
    try {
      const { loaded, tensors } = this.#load(batch, length, store);
      try {
        await this.#writeWeights(tensors, store);
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
    const { path, metadata } = this.#file;
    if (metadata.hf_config !== undefined) {
      throw new BraidError(
        'unsupported',
        `'${path}' holds a Hugging Face model; only FlowHN files can be compared.`,
      );
    }
    const { config, blocks, rules } = readFlowhn(path, metadata);
    const forward = new Graph();
    const model = buildModel(forward, config, { batch, length, documents: false });
    const targets = forward.source('input', 'targets', [batch, length], 'int32');
    const weights = forward.source('input', 'weights', [batch, length]);
    const { loss } = linearCrossEntropy(
      { x: model.hidden, w: model.head, targets, weights },
      { chunk: batch * length },
    );
    const logits = matmul(model.hidden, model.head, { transposeB: true });
    const parameters = forward.sources.filter((source) => source.role === 'parameter');
    const { graph, map, gradients } = differentiate(forward, loss, parameters);
    graph.output('logits', map(logits));
    graph.output('loss', map(loss));
    for (const [parameter, gradient] of gradients) graph.output(gradientName(parameter.name), gradient);
    const program = compile(graph, { name: 'golden', threads: this.#executor.threads });
    const shapes = new Map(parameters.map((parameter) => [parameter.name, parameter.shape]));
    const tensors = layOut(expandRules(rules, blocks), shapes);
    for (const parameter of parameters) store.tensor(storeKey(parameter), 'float32', parameter.shape);
    return { loaded: this.#executor.load(program, store), tensors };
  }

  async #writeWeights(tensors: readonly MappedTensor[], store: Store): Promise<void> {
    for (const whole of tensors) {
      const values = await this.#read(`weights.${whole.from}`, whole);
      for (const part of whole.parts) {
        store.find(storeKey({ role: 'parameter', name: part.name }))?.data.set(takePart(values, whole, part));
      }
    }
  }

  async #compare(loaded: LoadedProgram, tensors: readonly MappedTensor[]): Promise<GoldenResult> {
    const logits = relativeError(output(loaded, 'logits'), await this.#file.readFloat32('logits'));
    const loss = relativeError(output(loaded, 'loss'), await this.#file.readFloat32('loss'));
    let gradient = 0;
    let worst = '';
    for (const whole of tensors) {
      const expected = await this.#read(`grad.${whole.from}`, whole);
      const scale = largest(expected);
      for (const part of whole.parts) {
        const wanted = takePart(expected, whole, part);
        // A parameter that the loss does not depend on has no gradient: zeros.
        const given = loaded.outputs.get(gradientName(part.name)) ?? new Float32Array(wanted.length);
        const error = relativeError(given, wanted, scale);
        if (!(error <= gradient) || worst === '') {
          gradient = error;
          worst = whole.from;
        }
      }
    }
    const passed = logits <= valueTolerance && loss <= valueTolerance && gradient <= gradientTolerance;
    const { name: executor } = this.#executor;
    return { file: this.#file.path, executor, logits, loss, gradient, gradientName: worst, passed };
  }

  /** Reads a foreign tensor whose size must be that of our parameters in it; its shape may have axes of length 1. */
  async #read(name: string, whole: MappedTensor): Promise<Float32Array> {
    const { shape } = this.#file.entry(name);
    const trimmed = shape.filter((size) => size !== 1).join(', ');
    const wanted = [whole.rows, whole.columns].filter((size) => size !== 1).join(', ');
    if (trimmed !== wanted) {
      throw new BraidError(
        'file',
        `Tensor '${name}' in '${this.#file.path}' has shape [${shape.join(', ')}]; the sizes in the metadata give ` +
          `[${whole.rows}, ${whole.columns}].`,
      );
    }
    return this.#file.readFloat32(name);
  }
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
function relativeError(given: Numbers, expected: Numbers, scale = largest(expected)): number {
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
