import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { elementCount } from '../../graph/index.ts';
import type { ModelConfig } from '../config.ts';
import { parseModelConfig } from '../config.ts';
import { SafetensorsFile } from '../safetensors.ts';
import type { ExportOptions, ExportType } from './exportFolder.ts';
import { writeFolder } from './exportFolder.ts';
import { express } from './express.ts';
import type { Json } from './fields.ts';
import { openFolder } from './importFolder.ts';
import { findExportFamily } from './registry.ts';
import { emptyFolder, goldenFile, goldenFiles, material, narrowed, writeMaterial } from './testing.ts';

interface Imported {
  readonly family: string;
  readonly config: ModelConfig;
  readonly values: ReadonlyMap<string, Float32Array>;
}

async function importAll(folder: string): Promise<Imported> {
  const model = await openFolder(folder);
  const values = new Map(
    model.parameters.map(({ name, shape }) => [name, new Float32Array(elementCount(shape))]),
  );
  await model.read((name) => values.get(name) ?? new Float32Array());
  await model.close();
  return { family: model.family, config: model.config, values };
}

async function exportAll(
  { family, config, values }: Imported,
  options: Partial<ExportOptions> = {},
): Promise<string> {
  const folder = await emptyFolder();
  const read = async (name: string): Promise<Float32Array> => values.get(name) ?? new Float32Array();
  const all = { dtype: 'float32', shardBytes: 1e9, ...options } as const;
  await writeFolder(folder, express(config, findExportFamily(family)), read, all);
  return folder;
}

/** Names, types, shapes and bytes of all tensors of a folder. */
async function contents(folder: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const name of readdirSync(folder).filter((name) => name.endsWith('.safetensors'))) {
    const file = await SafetensorsFile.open(join(folder, name));
    for (const { name: tensor, dtype, shape, begin, end } of file.entries.values()) {
      const data = new Uint8Array(end - begin);
      await file.readInto(tensor, dtype, data);
      expect(begin).toBeLessThan(end);
      found.set(tensor, `${dtype}[${shape}] ${Buffer.from(data).toString('base64')}`);
    }
    await file.close();
  }
  return new Map([...found].sort());
}

function readConfig(folder: string): Json {
  return JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Json;
}

describe('import, export, import', () => {
  it.each(goldenFiles())('%s keeps every byte', async (name) => {
    const original = await writeMaterial(await material(goldenFile(name)));
    const first = await importAll(original);
    const exported = await exportAll(first);
    expect(await contents(exported)).toEqual(await contents(original));
    const second = await importAll(exported);
    expect(second.config).toEqual(first.config);
    expect(second.values).toEqual(first.values);
  });

  it.each(['bfloat16', 'float16'] as const)('%s stays what it is', async (dtype: ExportType) => {
    const golden = await material(goldenFile('mamba/mamba_tied'));
    const stored = dtype === 'float16' ? 'F16' : 'BF16';
    const narrow = { ...golden, tensors: golden.tensors.map((tensor) => narrowed(tensor, stored)) };
    const original = await writeMaterial(narrow);
    const exported = await exportAll(await importAll(original), { dtype });
    expect(await contents(exported)).toEqual(await contents(original));
    expect(readConfig(exported).torch_dtype).toBe(dtype);
  });

  it('reads and writes several files with an index', async () => {
    const golden = await material(goldenFile('jamba/jamba_dense_tied_biases'));
    const original = await writeMaterial(golden, true);
    const exported = await exportAll(await importAll(original), { shardBytes: 4000 });
    const files = readdirSync(exported).filter((name) => name.endsWith('.safetensors'));
    expect(files.length).toBeGreaterThan(3);
    expect(files[0]).toBe(`model-00001-of-${String(files.length).padStart(5, '0')}.safetensors`);
    expect(await contents(exported)).toEqual(await contents(original));
    expect((await importAll(exported)).values).toEqual((await importAll(original)).values);
  });

  it('keeps keys that say nothing about the architecture', async () => {
    const imported = await importAll(await writeMaterial(await material(goldenFile('mamba/mamba_tied'))));
    const exported = await exportAll(imported, { keep: { eos_token_id: 2, hidden_size: 999 } });
    expect(readConfig(exported)).toMatchObject({ eos_token_id: 2, hidden_size: 20, model_type: 'mamba' });
  });

  it('writes into no folder that holds a model', async () => {
    const folder = await writeMaterial(await material(goldenFile('mamba/mamba_tied')));
    const { config } = await importAll(folder);
    const options = { dtype: 'float32', shardBytes: 1e9 } as const;
    const written = writeFolder(
      folder,
      express(config, findExportFamily('mamba')),
      async () => new Float32Array(),
      options,
    );
    await expect(written).rejects.toThrow(/already holds 'config\.json'/);
  });
});

describe('a tied head', () => {
  it('may be stored again, when it is the same', async () => {
    const golden = await material(goldenFile('mamba/mamba_tied'));
    const embedding = golden.tensors.find(({ name }) => name === 'backbone.embeddings.weight');
    if (!embedding) throw new Error('no embedding');
    const again = { ...embedding, name: 'lm_head.weight' };
    const both = await importAll(await writeMaterial({ ...golden, tensors: [...golden.tensors, again] }));
    expect(both.values.has('head.weight')).toBe(false);
    const data = (embedding.data as Float32Array).slice();
    data[7] += 1;
    const other = { ...golden, tensors: [...golden.tensors, { ...again, data }] };
    await expect(importAll(await writeMaterial(other))).rejects.toThrow(
      /'lm_head\.weight' in .* must repeat 'backbone\.embeddings\.weight'.*value 7/,
    );
  });
});

describe("the names of Mamba's authors", () => {
  it('hold the same model', async () => {
    const golden = await material(goldenFile('mamba/mamba_tied'));
    const imported = await importAll(await writeMaterial(golden));
    const rename = (name: string): string => name.replace('backbone.embeddings', 'backbone.embedding');
    const tensors = golden.tensors.map((tensor) => ({ ...tensor, name: rename(tensor.name) }));
    const embedding = tensors.find(({ name }) => name === 'backbone.embedding.weight');
    if (!embedding) throw new Error('no embedding');
    const config = {
      d_model: 20,
      n_layer: 2,
      // Their embedding has rows for a multiple of 61 tokens.
      vocab_size: 60,
      pad_vocab_size_multiple: 61,
      ssm_cfg: { d_state: 5, dt_rank: 3 },
      rms_norm: true,
      residual_in_fp32: true,
      fused_add_norm: true,
    };
    const original = { config, tensors: [...tensors, { ...embedding, name: 'lm_head.weight' }] };
    const theirs = await importAll(await writeMaterial(original));
    expect(theirs.family).toBe('state-spaces');
    expect(theirs.values).toEqual(imported.values);
    expect(express(theirs.config, findExportFamily('mamba')).json).toMatchObject({ vocab_size: 61 });
    expect(() => findExportFamily('state-spaces')).toThrow(/no family 'state-spaces' to export to/);
    const attending = { ...original, config: { ...config, attn_layer_idx: [1] } };
    await expect(importAll(await writeMaterial(attending))).rejects.toThrow(
      /'attn_layer_idx' names attention/,
    );
  });
});

describe('models that a family cannot express', () => {
  const sizes = { width: 16, vocabulary: 61, attention: { heads: 2, rope: {} } };

  it.each([
    [
      'a layer of another kind',
      'llama',
      { pattern: 'attention+mlp mamba1+mlp' },
      /^blocks\.1 .*: it is mamba1\+mlp/,
    ],
    [
      'an option that differs',
      'llama',
      {
        layers: ['attention+mlp', { layer: 'attention', options: { heads: 4 }, channels: ['mlp'] }],
      },
      /^blocks\.1\.attention .*option 'heads' is 4 and would be 2/,
    ],
    [
      'a gap in the rule of the layers',
      'jamba',
      {
        pattern: 'attention+mlp mamba1+mlp attention+mlp*2',
        mamba1: { norms: true },
        attention: { heads: 2, rope: false },
      },
      /^blocks\.3 .*it is attention\+mlp and would be mamba1\+mlp/,
    ],
    [
      'norms that it does not have',
      'mamba',
      { pattern: 'mamba1*2', mamba1: { norms: true } },
      /^blocks\.0\.mamba1 .*'norms' is true/,
    ],
    [
      'branches',
      'llama',
      { pattern: '(attention+mlp & mamba1+mlp)' },
      /^blocks\.0 .*it is \(attention\+mlp & mamba1\+mlp\)/,
    ],
  ])('%s', (_, family, config, message) => {
    const model = parseModelConfig({ ...sizes, ...config });
    expect(() => express(model, findExportFamily(family))).toThrow(message);
  });

  it('names the families that there are', () => {
    expect(() => findExportFamily('lama')).toThrow(/no family 'lama'.*Did you mean 'llama'/);
  });

  it('takes an alias and defaults that depend on the width', () => {
    const model = parseModelConfig({
      ...sizes,
      pattern: 'local+mlp*2',
      local: { type: 'attention', headDim: 8, kvHeads: 1 },
    });
    const { json, tensors } = express(model, findExportFamily('llama'));
    expect(json).toMatchObject({ num_attention_heads: 2, num_key_value_heads: 1, intermediate_size: 48 });
    const key = tensors.find(({ from }) => from === 'model.layers.1.self_attn.k_proj.weight');
    expect(key?.parts.map(({ name }) => name)).toEqual(['blocks.1.local.key.weight']);
  });
});
