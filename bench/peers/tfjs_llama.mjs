/**
 * LLaMA inference in TensorFlow.js on its WebAssembly backend (SIMD; in Node.js it has one thread), float32, as a good user would
 * write it: weights kept as tensors, everything in one tidy.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import {
  epsilon,
  fail,
  readArguments,
  report,
  rotaryAngles,
  time,
  tokenIds,
  weight,
  weightShapes,
} from './llama.mjs';

const { shape, what, length, samples, load } = readArguments();
if (what !== 'prompt') fail('there is no cache in this peer: it reads prompts only');
const { width, layers, heads, kvHeads, vocabulary } = shape;
const head = width / heads;

const require = createRequire(load('@tensorflow/tfjs'));
const tf = require('@tensorflow/tfjs');
const wasm = require(load('@tensorflow/tfjs-backend-wasm'));
wasm.setWasmPaths(`${path.dirname(load('@tensorflow/tfjs-backend-wasm'))}/`);
if (!(await tf.setBackend('wasm'))) fail('the WebAssembly backend did not start');

const weights = new Map(
  [...weightShapes(shape)].map(([name, size]) => {
    const linear = size.length === 2 && name !== 'embedding';
    return [name, tf.tensor(weight(name, size), linear ? [size[1], size[0]] : size)];
  }),
);
const ids = tf.tensor1d(tokenIds(length, vocabulary), 'int32');
const angles = rotaryAngles(length, head);
const cos = tf.tensor(angles.map(Math.cos), [1, length, head]);
const sin = tf.tensor(angles.map(Math.sin), [1, length, head]);
const mask = tf.tidy(() => {
  const row = tf.range(0, length, 1, 'int32');
  return tf.where(row.expandDims(1).less(row.expandDims(0)), tf.scalar(-1e9), tf.scalar(0));
});

const w = (name) => weights.get(name);
const norm = (x, name) => x.mul(tf.rsqrt(x.square().mean(-1, true).add(epsilon))).mul(w(name));
const byHeads = (x, count) => x.reshape([length, count, head]).transpose([1, 0, 2]);

function rotate(x) {
  const [a, b] = tf.split(x, 2, -1);
  return x.mul(cos).add(tf.concat([b.neg(), a], -1).mul(sin));
}

/** Every key head serves several query heads. */
function shared(x) {
  const times = heads / kvHeads;
  return tf.tile(x.expandDims(1), [1, times, 1, 1]).reshape([heads, length, head]);
}

function attention(x, layer) {
  const product = (name) => x.matMul(w(`${layer}.${name}`));
  const q = rotate(byHeads(product('q'), heads));
  const k = shared(rotate(byHeads(product('k'), kvHeads)));
  const v = shared(byHeads(product('v'), kvHeads));
  const scores = tf.softmax(
    q
      .matMul(k, false, true)
      .mul(head ** -0.5)
      .add(mask),
  );
  return scores
    .matMul(v)
    .transpose([1, 0, 2])
    .reshape([length, width])
    .matMul(w(`${layer}.o`));
}

function mlp(x, layer) {
  const gate = x.matMul(w(`${layer}.gate`));
  return gate
    .mul(tf.sigmoid(gate))
    .mul(x.matMul(w(`${layer}.up`)))
    .matMul(w(`${layer}.down`));
}

async function run() {
  const logits = tf.tidy(() => {
    let x = tf.gather(w('embedding'), ids);
    for (let layer = 0; layer < layers; layer++) {
      x = x.add(attention(norm(x, `${layer}.norm1`), layer));
      x = x.add(mlp(norm(x, `${layer}.norm2`), layer));
    }
    return norm(x.slice([length - 1, 0], [1, width]), 'norm').matMul(w('head'));
  });
  const values = await logits.data();
  logits.dispose();
  return values;
}

if (!(await run()).every(Number.isFinite)) fail('the logits are not finite');
report(`${tf.version_core} (WebAssembly, one thread)`, await time(samples, run));
