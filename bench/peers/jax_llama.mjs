/**
 * LLaMA inference in jax-js on its WebAssembly backend (in Node.js it has one thread: it starts Web Workers only), float32,
 * compiled with its `jit`. Arrays are owned: a function takes its arguments, `.ref` keeps one for another use.
 */
import { createRequire } from 'node:module';
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

const require = createRequire(import.meta.url);
const { init, defaultDevice, jit, nn, numpy: np } = require(load('@jax-js/jax'));
const { version } = require(load('@jax-js/jax').replace(/dist.*/, 'package.json'));
if (!(await init('wasm')).includes('wasm')) fail('the WebAssembly backend did not start');
defaultDevice('wasm');

/** Linear layers as [inputs, outputs], as x · w reads them. */
const weights = Object.fromEntries(
  [...weightShapes(shape)].map(([name, size]) => {
    const linear = size.length === 2 && name !== 'embedding';
    return [name, np.array(weight(name, size)).reshape(linear ? [size[1], size[0]] : size)];
  }),
);
const ids = np.array(Int32Array.from(tokenIds(length, vocabulary)));
const angles = rotaryAngles(length, head);
const table = (values) => np.array(values).reshape([length, 1, head]);
const later = Float32Array.from({ length: length * length }, (_, index) =>
  index % length > Math.floor(index / length) ? -1e9 : 0,
);
const mask = np.array(later).reshape([1, length, length]);
const tables = { cos: table(angles.map(Math.cos)), sin: table(angles.map(Math.sin)), mask };

const norm = (x, gain) =>
  x.ref.div(np.sqrt(np.mean(np.square(x), -1, { keepdims: true }).add(epsilon))).mul(gain);

function rotate(x, { cos, sin }) {
  const [a, b] = np.split(x.ref, 2, -1);
  return x.mul(cos.ref).add(np.concatenate([np.negative(b), a], -1).mul(sin.ref));
}

const byHeads = (x) => np.transpose(x, [1, 0, 2]);

/** Every key head serves several query heads. */
const shared = (x) => np.repeat(byHeads(x), heads / kvHeads, 0);

/** Written out: the library's own attention goes through `einsum`, which needs Node.js 22. */
function attention(x, w, layer, at) {
  const product = (name, count) => np.matmul(x.ref, w(`${layer}.${name}`)).reshape([length, count, head]);
  const q = byHeads(rotate(product('q', heads), at));
  const k = shared(rotate(product('k', kvHeads), at));
  const v = shared(product('v', kvHeads));
  x.dispose();
  const scores = np
    .matmul(q, np.transpose(k, [0, 2, 1]))
    .mul(head ** -0.5)
    .add(at.mask.ref);
  const mixed = np.matmul(nn.softmax(scores, -1), v);
  return np.matmul(byHeads(mixed).reshape([length, width]), w(`${layer}.o`));
}

function mlp(x, w, layer) {
  const gate = nn.silu(np.matmul(x.ref, w(`${layer}.gate`)));
  return np.matmul(gate.mul(np.matmul(x, w(`${layer}.up`))), w(`${layer}.down`));
}

const forward = jit((all, at, tokens) => {
  const w = (name) => all[name].ref;
  let x = np.take(w('embedding'), tokens, 0);
  for (let layer = 0; layer < layers; layer++) {
    x = x.ref.add(attention(norm(x, w(`${layer}.norm1`)), w, layer, at));
    x = x.ref.add(mlp(norm(x, w(`${layer}.norm2`)), w, layer));
  }
  const last = x.slice([length - 1, length]);
  const logits = np.matmul(norm(last, w('norm')), w('head'));
  for (const array of [...Object.values(all), ...Object.values(at)]) array.dispose();
  return logits;
});

/** Another reference to every array of an object. */
const kept = (arrays) => Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, array.ref]));

const run = async () => await forward(kept(weights), kept(tables), ids.ref).data();

if (!(await run()).every(Number.isFinite)) fail('the logits are not finite');
report(`${version} (WebAssembly, one thread)`, await time(samples, run));
