/** A LLaMA as a GGUF file of llama.cpp (version 3), float32 or BF16 matrices: the parts that are needed, written by hand. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { epsilon, theta, weight, weightShapes } from './llama.mjs';

const alignment = 32;
const types = { uint32: 4, float32: 6, string: 8, array: 9, int32: 5 };
const tensorTypes = { float32: 0, bfloat16: 30 };

const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const f32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
};
const text = (value) => {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
};
const entry = (key, type, ...value) => Buffer.concat([text(key), u32(types[type]), ...value]);
const count = (key, value) => entry(key, 'uint32', u32(value));
const list = (key, type, values, write) =>
  entry(key, 'array', u32(types[type]), u64(values.length), ...values.map(write));

function metadata({ width, layers, heads, kvHeads, mlp, vocabulary }) {
  // Tokens are numbers in brackets, with bytes first, as the byte fallback of a vocabulary wants them.
  const byte = (index) => `<0x${index.toString(16).toUpperCase().padStart(2, '0')}>`;
  const tokens = Array.from({ length: vocabulary }, (_, index) => {
    if (index < 3) return ['<unk>', '<s>', '</s>'][index];
    return index < 259 ? byte(index - 3) : `<${index}>`;
  });
  const kinds = tokens.map((_, index) => (index === 0 ? 2 : index < 3 ? 3 : index < 259 ? 6 : 1));
  return [
    entry('general.architecture', 'string', text('llama')),
    count('llama.context_length', 1 << 16),
    count('llama.embedding_length', width),
    count('llama.block_count', layers),
    count('llama.feed_forward_length', mlp),
    count('llama.attention.head_count', heads),
    count('llama.attention.head_count_kv', kvHeads),
    count('llama.rope.dimension_count', width / heads),
    entry('llama.rope.freq_base', 'float32', f32(theta)),
    entry('llama.attention.layer_norm_rms_epsilon', 'float32', f32(epsilon)),
    count('llama.vocab_size', vocabulary),
    entry('tokenizer.ggml.model', 'string', text('llama')),
    list('tokenizer.ggml.tokens', 'string', tokens, text),
    list('tokenizer.ggml.scores', 'float32', tokens, () => f32(0)),
    list('tokenizer.ggml.token_type', 'int32', kinds, u32),
    count('tokenizer.ggml.bos_token_id', 1),
    count('tokenizer.ggml.eos_token_id', 2),
    count('tokenizer.ggml.unknown_token_id', 0),
  ];
}

const names = {
  embedding: 'token_embd',
  norm: 'output_norm',
  head: 'output',
  norm1: 'attn_norm',
  q: 'attn_q',
  k: 'attn_k',
  v: 'attn_v',
  o: 'attn_output',
  norm2: 'ffn_norm',
  gate: 'ffn_gate',
  up: 'ffn_up',
  down: 'ffn_down',
};

function nameOf(name) {
  const [, layer, part] = /^(?:(\d+)\.)?(\w+)$/.exec(name);
  return `${layer === undefined ? '' : `blk.${layer}.`}${names[part]}.weight`;
}

/** The upper halves of the bits: cut, not rounded, for the weights are random. */
function asBfloat16(values) {
  const bits = new Uint32Array(values.buffer);
  return Uint16Array.from(bits, (value) => value >>> 16);
}

export function writeGguf(file, shape, precision) {
  const tensors = [...weightShapes(shape)].map(([name, size]) => {
    const type = size.length === 2 ? precision : 'float32';
    const bytes = size.reduce((a, b) => a * b, 1) * (type === 'float32' ? 4 : 2);
    return { name, size, type, bytes };
  });
  const entries = metadata(shape);
  const padded = (bytes) => Math.ceil(bytes / alignment) * alignment;
  let offset = 0;
  const infos = tensors.map(({ name, size, type, bytes }) => {
    const dimensions = [...size].reverse().map(u64);
    const info = Buffer.concat([
      text(nameOf(name)),
      u32(size.length),
      ...dimensions,
      u32(tensorTypes[type]),
      u64(offset),
    ]);
    offset += padded(bytes);
    return info;
  });
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(entries.length),
    ...entries,
    ...infos,
  ]);
  const target = openSync(file, 'w');
  try {
    write(target, head);
    for (const { name, size, type } of tensors) {
      const values = weight(name, size);
      const stored = type === 'float32' ? values : asBfloat16(values);
      write(target, Buffer.from(stored.buffer));
    }
  } finally {
    closeSync(target);
  }

  function write(descriptor, bytes) {
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
    writeSync(descriptor, Buffer.alloc(padded(bytes.length) - bytes.length));
  }
}
