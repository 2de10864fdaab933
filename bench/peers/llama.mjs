/** What the peers in Node.js share: the shapes of Braid's LLaMA presets, weights, arguments, and what a peer prints. */
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';

/** Rotary base 10000, RMSNorm with epsilon 1e-6, SwiGLU, no biases, head of its own. */
const shapes = {
  'llama-135m': {
    width: 768,
    layers: 5,
    heads: 32,
    kvHeads: 8,
    mlp: 2048,
    vocabulary: 65_536,
    parameters: 131_637_504,
  },
  'llama-nano': {
    width: 128,
    layers: 5,
    heads: 4,
    kvHeads: 2,
    mlp: 352,
    vocabulary: 257,
    parameters: 988_800,
  },
};

export const theta = 10_000;
export const epsilon = 1e-6;

/**
 * The arguments of a peer. `what`: `prompt` reads `length` tokens from position 0, `token` one token behind `length` others;
 * both on one row, with the logits of the last token.
 */
export function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      packages: { type: 'string' },
      what: { type: 'string', default: 'prompt' },
      length: { type: 'string', default: '256' },
      threads: { type: 'string', default: '2' },
      samples: { type: 'string', default: '5' },
    },
  });
  const shape = shapes[positionals[0]];
  if (!shape) fail(`${positionals[0]} is not one of ${Object.keys(shapes).join(', ')}`);
  if (!['prompt', 'token'].includes(values.what)) fail(`--what is prompt or token, not ${values.what}`);
  const number = (name) => Number(values[name]);
  const load = (name) => {
    try {
      return createRequire(path.resolve(values.packages ?? '.', 'package.json')).resolve(name);
    } catch {
      return fail(
        `${name} is not installed in ${values.packages ?? '.'} (npm install --ignore-scripts ${name})`,
      );
    }
  };
  return {
    shape,
    what: values.what,
    length: number('length'),
    threads: number('threads'),
    samples: number('samples'),
    load,
  };
}

/** Of each position the angles of a head's numbers, number i turning with i + head / 2: [positions, head]. */
export function rotaryAngles(positions, head) {
  return Float32Array.from({ length: positions * head }, (_, index) => {
    const pair = (index % head) % (head / 2);
    return Math.floor(index / head) * theta ** ((-2 * pair) / head);
  });
}

/** Ends the peer with a reason on its last line. */
export function fail(reason) {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

/** All weights by name, each [rows, columns] with the inputs of a linear layer as columns, or [features]. */
export function weightShapes({ width, layers, heads, kvHeads, mlp, vocabulary, parameters }) {
  const kv = (width / heads) * kvHeads;
  const found = [['embedding', [vocabulary, width]]];
  for (let layer = 0; layer < layers; layer++) {
    found.push(
      [`${layer}.norm1`, [width]],
      [`${layer}.q`, [width, width]],
      [`${layer}.k`, [kv, width]],
      [`${layer}.v`, [kv, width]],
      [`${layer}.o`, [width, width]],
      [`${layer}.norm2`, [width]],
      [`${layer}.gate`, [mlp, width]],
      [`${layer}.up`, [mlp, width]],
      [`${layer}.down`, [width, mlp]],
    );
  }
  found.push(['norm', [width]], ['head', [vocabulary, width]]);
  const count = found.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0);
  if (count !== parameters)
    fail(`the shapes have ${count} parameters here and ${parameters} in Braid: not the same model`);
  return new Map(found);
}

/** Random weights, the same at every call; norms are 1. */
export function weight(name, shape) {
  const count = shape.reduce((a, b) => a * b, 1);
  const values = new Float32Array(count);
  if (shape.length === 1) return values.fill(1);
  let state = 2_166_136_261;
  for (const letter of name) state = Math.imul(state ^ letter.charCodeAt(0), 16_777_619) >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    values[i] = (state / 4_294_967_296 - 0.5) * 0.069; // uniform with the deviation 0.02
  }
  return values;
}

/** Token ids, the same at every call. */
export function tokenIds(count, vocabulary) {
  return Array.from({ length: count }, (_, index) => (index * 7919 + 13) % vocabulary);
}

/** Seconds of `samples` calls after two that are not counted. */
export async function time(samples, call) {
  const seconds = [];
  for (let index = 0; index < samples + 2; index++) {
    const begin = performance.now();
    await call();
    if (index >= 2) seconds.push((performance.now() - begin) / 1000);
  }
  return seconds;
}

/** What `braid bench peers` reads. */
export function report(version, seconds) {
  process.stdout.write(`${JSON.stringify({ version, seconds })}\n`);
}

process.on('uncaughtException', (error) => fail(error.message.split('\n')[0]));
process.on('unhandledRejection', (error) => fail(String(error?.message ?? error).split('\n')[0]));
