import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TensorToWrite } from '../safetensors.ts';
import { writeSafetensors } from '../safetensors.ts';
import type { Json } from './fields.ts';
import { openFolder } from './importFolder.ts';
import type { Material } from './testing.ts';
import { emptyFolder, goldenFile, material, narrowed, writeMaterial } from './testing.ts';

const mamba = await material(goldenFile('mamba/mamba_tied'));
const jamba = await material(goldenFile('jamba/jamba_dense_tied_biases'));
const experts = await material(goldenFile('jamba/jamba_moe'));
const nemotron = await material(goldenFile('nemotron_h/nemotron_h'));
const zamba = await material(goldenFile('zamba2/zamba2_one_block_biases'));
const gemma = await material(goldenFile('recurrent_gemma/recurrent_gemma'));

/** Opening checks everything: no value has been asked for when these fail. */
async function expectRefusal(folder: string, message: RegExp): Promise<void> {
  await expect(openFolder(folder)).rejects.toThrow(message);
}

function withConfig(base: Material, change: Json): Material {
  return { ...base, config: { ...base.config, ...change } };
}

function withTensor(name: string, change: (tensor: TensorToWrite) => readonly TensorToWrite[]): Material {
  const tensors = mamba.tensors.flatMap((tensor) => (tensor.name === name ? change(tensor) : [tensor]));
  return { ...mamba, tensors };
}

describe('a config.json that cannot be had', () => {
  it.each([
    [{ model_type: 'gpt2' }, /config\.json': 'model_type' is 'gpt2', which Braid cannot read.*Known: /],
    [{ model_type: null }, /'model_type' is missing/],
    [{ num_hidden_layers: '2' }, /'num_hidden_layers' is expected to be a number; found "2"/],
    [
      { num_hidden_layers: 2.5 },
      /'num_hidden_layers' is expected to be a whole number of at least 1; found 2\.5/,
    ],
    [{ hidden_size: undefined }, /'hidden_size' is expected to be a number; found nothing/],
    [{ use_bias: 'no' }, /'use_bias' is expected to be true or false; found "no"/],
    [{ hidden_act: 'relu' }, /'hidden_act' is "relu"; this family is supported with "silu"/],
    [{ state_size: 65 }, /mamba1\.state: must be at most 64; given 65/],
    [{ expand: 1.51 }, /describes: mamba1\.expand: is 1\.51/],
  ])('%j', async (change, message) => {
    await expectRefusal(await writeMaterial(withConfig(mamba, change)), message);
  });

  it.each([
    [
      'more layers than are listed, by letters',
      withConfig(nemotron, { hybrid_override_pattern: 'M-*', layers_block_type: null, num_hidden_layers: 4 }),
      /config\.json': 'num_hidden_layers' is 4, but 'hybrid_override_pattern' has 3 layers/,
    ],
    [
      'fewer layers than are listed',
      withConfig(zamba, { num_hidden_layers: 1 }),
      /config\.json': 'num_hidden_layers' is 1, but 'layers_block_type' has \d+ layers/,
    ],
    [
      'a layer that nobody knows, by letter',
      withConfig(nemotron, { hybrid_override_pattern: 'M-E', layers_block_type: null, num_hidden_layers: 3 }),
      /'hybrid_override_pattern' has 'E' at place 2; known here: M, \* and -/,
    ],
    [
      'a layer that nobody knows, by word',
      withConfig(gemma, { block_types: ['recurrent', 'window'] }),
      /'block_types' has "window" as entry 1; known here: recurrent, attention/,
    ],
    [
      'no layer at all',
      withConfig(gemma, { block_types: [] }),
      /'block_types' is expected to be a list with/,
    ],
    [
      'more experts chosen than there are',
      withConfig(experts, { num_experts_per_tok: 6 }),
      /moe\.chosen: is 6, but there are 5 experts; choose at most 5/,
    ],
  ])('%s', async (_, given, message) => {
    await expectRefusal(await writeMaterial(given), message);
  });

  it('is missing, or not JSON', async () => {
    const folder = await emptyFolder();
    await expectRefusal(folder, /config\.json': there is no such file/);
    await writeFile(join(folder, 'config.json'), '{"model_type": ');
    await expectRefusal(folder, /config\.json' is not JSON/);
    await writeFile(join(folder, 'config.json'), '[]');
    await expectRefusal(folder, /config\.json' holds no configuration/);
  });
});

describe('weights that do not fit their configuration', () => {
  it.each([
    [
      'layers more than the file has',
      withConfig(mamba, { num_hidden_layers: 3 }),
      /has no tensor 'backbone\.layers\.2\.norm\.weight' \[20\], which the configuration asks for/,
    ],
    [
      'layers fewer than the file has',
      withConfig(mamba, { num_hidden_layers: 1 }),
      /model\.safetensors' holds 'backbone\.layers\.1\.[^']+' \[.*and 9 more .*has no place/,
    ],
    [
      'another width',
      withConfig(mamba, { hidden_size: 24 }),
      /'backbone\.embeddings\.weight' in .* has the shape \[61, 20\]; the configuration makes it \[61, 24\]/,
    ],
    [
      'another layer at one place',
      withConfig(jamba, { attn_layer_offset: 0 }),
      /has no tensor 'model\.layers\.0\.self_attn\.q_proj\.weight'/,
    ],
    [
      'more experts than the file has',
      withConfig(experts, { num_experts: 6 }),
      /'model\.layers\.1\.feed_forward\.router\.weight' in .* has the shape \[5, 20\]; the configuration makes it \[6, 20\]/,
    ],
    [
      'other blocks in the gates',
      withConfig(gemma, { num_attention_heads: 9, num_key_value_heads: 3 }),
      /temporal_block\.rg_lru\.input_gate_weight' in .* has the shape \[3, 12, 12\]; the configuration makes it \[9, 4, 4\]/,
    ],
    [
      'a missing tensor',
      withTensor('backbone.norm_f.weight', () => []),
      /has no tensor 'backbone\.norm_f\.weight' \[20\]/,
    ],
    [
      'an extra tensor',
      withTensor('backbone.norm_f.weight', (tensor) => [tensor, { ...tensor, name: 'adapter' }]),
      /holds 'adapter' \[20\], for which a model of this configuration has no place/,
    ],
    [
      'another shape',
      withTensor('backbone.layers.0.mixer.conv1d.weight', (tensor) => [{ ...tensor, shape: [40, 4] }]),
      /'backbone\.layers\.0\.mixer\.conv1d\.weight' in .* has the shape \[40, 4\]; the configuration makes it \[40, 1, 4\]/,
    ],
    [
      'another type',
      withTensor('backbone.norm_f.weight', (tensor) => [
        { ...tensor, dtype: 'I32', data: new Int32Array(20) },
      ]),
      /'backbone\.norm_f\.weight' in .* is stored as I32; F32, F16 and BF16 can be read/,
    ],
  ])('%s', async (_, given, message) => {
    await expectRefusal(await writeMaterial(given), message);
  });
});

describe('files that are damaged', () => {
  it('is truncated', async () => {
    const folder = await writeMaterial(mamba);
    const handle = await open(join(folder, 'model.safetensors'), 'r+');
    await handle.truncate(5000);
    await handle.close();
    await expectRefusal(
      folder,
      /model\.safetensors' is not a complete safetensors file: it is truncated: tensor/,
    );
  });

  it('is a pickle, which is not loaded', async () => {
    const folder = await writeMaterial({ ...mamba, tensors: [] }, true);
    await writeFile(
      join(folder, 'model.safetensors.index.json'),
      '{"weight_map": {"a": "../model-0.safetensors"}}',
    );
    await expectRefusal(folder, /puts 'a' into "\.\.\/model-0\.safetensors"; a file name is expected/);
    const other = await emptyFolder();
    await writeFile(join(other, 'config.json'), JSON.stringify(mamba.config));
    await expectRefusal(other, /has neither 'model\.safetensors' nor 'model\.safetensors\.index\.json'/);
    await writeFile(join(other, 'pytorch_model.bin'), '');
    await expectRefusal(other, /'pytorch_model\.bin', a pickle: .* Convert it/);
  });

  it.each([
    ['not JSON', 'weights', /index\.json' is not JSON/],
    ['without a map', '{}', /index\.json' has no 'weight_map'/],
    [
      'that names a missing file',
      '{"weight_map": {"a": "b.safetensors"}}',
      /b\.safetensors': there is no such file/,
    ],
    [
      'that names a missing tensor',
      '{"weight_map": {"a": "model-0.safetensors"}}',
      /says that 'a' is in 'model-0\.safetensors', where it is not/,
    ],
    [
      'that leaves a tensor out',
      `{"weight_map": {"${mamba.tensors[0].name}": "two.safetensors"}}`,
      /two\.safetensors' holds '.*', which '.*index\.json' does not list/,
    ],
  ])('an index %s', async (_, index, message) => {
    const folder = await writeMaterial(mamba, true);
    await writeSafetensors(join(folder, 'two.safetensors'), mamba.tensors.slice(0, 2));
    await writeFile(join(folder, 'model.safetensors.index.json'), index);
    await expectRefusal(folder, message);
  });

  it('holds one tensor twice', async () => {
    const folder = await writeMaterial(mamba, true);
    const [first, second] = mamba.tensors;
    await writeSafetensors(join(folder, 'model-0.safetensors'), [first, second]);
    await expectRefusal(folder, /both hold/);
  });
});

describe('types of stored values', () => {
  it('may differ from tensor to tensor', async () => {
    const tensors = mamba.tensors.map((tensor, index) =>
      index % 3 === 0 ? tensor : narrowed(tensor, index % 3 === 1 ? 'F16' : 'BF16'),
    );
    const model = await openFolder(await writeMaterial({ ...mamba, tensors }));
    expect(model.family).toBe('mamba');
    await model.close();
  });
});
