/**
 * LLaMA inference in onnxruntime-node, float32, as its own exporter builds it: grouped query attention with its
 * cache as one operator, rotary positions as one, RMSNorm as one, everything else as matrix products.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { epsilon, readArguments, report, theta, time, tokenIds, weight, weightShapes } from './llama.mjs';
import { FLOAT, INT32, INT64, model, node, tensor, value } from './onnx_file.mjs';

const { shape, what, length, threads, samples, load } = readArguments();
const { width, layers, heads, kvHeads, vocabulary } = shape;
const head = width / heads;
const [fresh, past] = what === 'prompt' ? [length, 0] : [1, length];
const total = past + fresh;

const file = load('onnxruntime-node');
const { InferenceSession, Tensor } = (await import(file)).default;
const { version } = JSON.parse(readFileSync(path.join(path.dirname(file), '../package.json'), 'utf8'));

const folder = mkdtempSync(path.join(os.tmpdir(), 'braid-onnx-'));
let seconds;
try {
  const target = path.join(folder, 'llama.onnx');
  writeFileSync(target, build());
  const session = await InferenceSession.create(target, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  const feeds = inputs();
  const first = await session.run(feeds);
  if (!first.logits.data.every(Number.isFinite)) throw new Error('the logits are not finite');
  seconds = await time(samples, () => session.run(feeds));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report(version, seconds);

/** Weights stand as [inputs, outputs]: those that are drawn as [outputs, inputs] are only renamed, for they are random. */
function build() {
  const initializers = [...weightShapes(shape)].map(([name, size]) => {
    const linear = size.length === 2 && name !== 'embedding';
    return tensor(name, linear ? [size[1], size[0]] : size, FLOAT, weight(name, size));
  });
  const turns = (turn) =>
    Float32Array.from({ length: (total * head) / 2 }, (_, index) => {
      const [position, pair] = [Math.floor(index / (head / 2)), index % (head / 2)];
      return turn(position * theta ** ((-2 * pair) / head));
    });
  initializers.push(
    tensor('cos', [total, head / 2], FLOAT, turns(Math.cos)),
    tensor('sin', [total, head / 2], FLOAT, turns(Math.sin)),
    tensor(
      'positions',
      [1, fresh],
      INT64,
      BigInt64Array.from({ length: fresh }, (_, index) => BigInt(past + index)),
    ),
    tensor('used', [1], INT32, Int32Array.of(total - 1)),
    tensor('total', [1], INT32, Int32Array.of(total)),
    tensor('last', [1], INT64, BigInt64Array.of(BigInt(fresh - 1))),
  );
  const nodes = [node('Gather', ['embedding', 'ids'], ['x0'])];
  const caches = [];
  for (let layer = 0; layer < layers; layer++) nodes.push(...layerNodes(layer, caches));
  nodes.push(
    node('Gather', [`x${layers}`, 'last'], ['xLast'], { axis: 1 }),
    norm('xLast', 'norm', 'hidden'),
    node('MatMul', ['hidden', 'head'], ['logits']),
  );
  const cache = (name, count) => value(name, FLOAT, [1, kvHeads, count, head]);
  return model({
    nodes,
    initializers,
    inputs: [value('ids', INT64, [1, fresh]), ...caches.map((name) => cache(`past.${name}`, past))],
    outputs: [
      value('logits', FLOAT, [1, 1, vocabulary]),
      ...caches.map((name) => cache(`now.${name}`, total)),
    ],
  });
}

function norm(x, gain, y) {
  return node('SimplifiedLayerNormalization', [x, gain], [y], { axis: -1, epsilon: { float: epsilon } });
}

function layerNodes(layer, caches) {
  const at = (name) => `${layer}.${name}`;
  const product = (x, name, y) => node('MatMul', [x, at(name)], [at(y)]);
  caches.push(at('key'), at('value'));
  // Turned apart: the grouped attention turns heads of a multiple of 16 only.
  const turned = (x, y, count) =>
    node(
      'RotaryEmbedding',
      [at(x), 'positions', 'cos', 'sin'],
      [at(y)],
      { num_heads: count },
      'com.microsoft',
    );
  const attended = [
    at('turnedQ'),
    at('turnedK'),
    at('V'),
    `past.${at('key')}`,
    `past.${at('value')}`,
    'used',
    'total',
  ];
  const results = [at('attended'), `now.${at('key')}`, `now.${at('value')}`];
  const grouped = { num_heads: heads, kv_num_heads: kvHeads };
  return [
    norm(`x${layer}`, at('norm1'), at('a')),
    product(at('a'), 'q', 'Q'),
    product(at('a'), 'k', 'K'),
    product(at('a'), 'v', 'V'),
    turned('Q', 'turnedQ', heads),
    turned('K', 'turnedK', kvHeads),
    node('GroupQueryAttention', attended, results, grouped, 'com.microsoft'),
    product(at('attended'), 'o', 'mixed'),
    node('Add', [`x${layer}`, at('mixed')], [at('middle')]),
    norm(at('middle'), at('norm2'), at('b')),
    product(at('b'), 'gate', 'G'),
    product(at('b'), 'up', 'U'),
    node('Sigmoid', [at('G')], [at('S')]),
    node('Mul', [at('G'), at('S')], [at('silu')]),
    node('Mul', [at('silu'), at('U')], [at('gated')]),
    product(at('gated'), 'down', 'D'),
    node('Add', [at('middle'), at('D')], [`x${layer + 1}`]),
  ];
}

function inputs() {
  const ids = BigInt64Array.from(tokenIds(fresh, vocabulary).map(BigInt));
  const feeds = { ids: new Tensor('int64', ids, [1, fresh]) };
  for (let layer = 0; layer < layers; layer++) {
    for (const name of ['key', 'value']) {
      const empty = new Float32Array(kvHeads * past * head).fill(0.01);
      feeds[`past.${layer}.${name}`] = new Tensor('float32', empty, [1, kvHeads, past, head]);
    }
  }
  return feeds;
}
