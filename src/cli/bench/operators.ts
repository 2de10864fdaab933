/** `braid bench operators`: layers on their own over lengths, and the matrix products of models beside those of a peer. */
import { Command } from 'commander';
import { benchOperators, type LayerSubject } from '../../bench/operators.ts';
import { type Product, productsOf } from '../../bench/products.ts';
import { openExecutor } from '../../bench/session.ts';
import { flatten } from '../../blocks/index.ts';
import { BraidError } from '../../graph/index.ts';
import { layers as knownLayers } from '../../mixers/index.ts';
import { blocksOf, type ModelConfig } from '../../models/config.ts';
import { buildTraining, freeze, type MachineDefaults } from '../../train/index.ts';
import { count, counts, several } from '../arguments.ts';
import { configure, readSettings } from '../settings.ts';
import { addCommonOptions, type CommonOptions, measure, tell } from './options.ts';

interface Options extends CommonOptions {
  readonly lengths: readonly number[];
  readonly tokens: number;
  readonly width: number;
  readonly products?: readonly string[];
  readonly peers?: boolean;
  readonly samples: number;
  readonly profile?: boolean;
}

export function operatorsCommand(): Command {
  const command = new Command('operators')
    .description(
      'Layers on their own by length, forward and backward, whole and without dense projections; matrix products.',
    )
    .argument(
      '[layers...]',
      'mixers and channel mixers, as in a pattern (default without --products: all mixers)',
    )
    .option('--lengths <n,...>', 'tokens of a row', counts, [512, 2048])
    .option('--tokens <n>', 'tokens of a run: rows are tokens over length, at least one', count, 4096)
    .option('--width <n>', 'features of the residual stream', count, 768)
    .option(
      '--products <model>',
      'the matrix products of a training step of this model; may be given again',
      several,
    )
    .option('--peers', "oneDNN's products in turn with Braid's, where it is installed")
    .option('--samples <n>', 'measured runs of each over all rounds', count, 9)
    .option('--profile', 'time every call: by operation and by layer');
  return addCommonOptions(command)
    .addHelpText(
      'after',
      '\nExamples:\n  braid bench operators hyena-se attention mamba2 --lengths 2048,8192 --set model.attention.heads=12\n' +
        '  braid bench operators --products llama-135m --peers --set train.batch=4 train.length=1024',
    )
    .action(run);
}

async function run(names: string[], options: Options): Promise<void> {
  const config = layerConfig(names, options);
  const { executor, machine } = openExecutor(config.train);
  const layers = names.length > 0 || !options.products ? layerSubjects(config, machine, options) : [];
  const products = (options.products ?? []).flatMap((source) => productsOfModel(source, machine, options));
  const { samples, profile = false, peers: besidePeer = false } = options;
  const total = (layers.length + products.length) * Math.min(options.rounds, samples);
  await measure(
    { kind: 'operators', options, executor, samples, total, besidePeer },
    ({ onDone, noPeer, ...around }) => {
      if (besidePeer && noPeer !== '') tell(`Without oneDNN: ${noPeer}.`);
      return benchOperators({ ...around, layers, products, samples, profile, onVisit: onDone });
    },
  );
}

/** A model that has each of the layers once, for their options and the training settings. */
function layerConfig(names: readonly string[], options: Options) {
  const mixers = knownLayers.filter(({ kind }) => kind !== 'channel').map(({ name }) => name);
  const pattern = (names.length > 0 ? names : mixers).join(' ');
  const value = { model: { width: options.width, vocabulary: 256, pattern } };
  return configure({ value, what: 'The layers to measure' }, { overrides: options.set, steps: 1 });
}

function layerSubjects(
  config: ReturnType<typeof layerConfig>,
  machine: MachineDefaults,
  { lengths, tokens }: Options,
): LayerSubject[] {
  const { model, train } = freeze(config, { ...machine, lanes: false });
  const phases = ['forward', 'training'] as const;
  return lengths.flatMap((length) =>
    phases.flatMap((phase) =>
      choices(model).map((layer) => ({
        layer,
        width: model.width,
        batch: Math.max(1, Math.floor(tokens / length)),
        length,
        phase,
        precision: train.precision,
      })),
    ),
  );
}

function choices(model: ModelConfig) {
  return flatten(blocksOf(model)).map((block) => {
    if (block.kind === 'term' && block.layers.length === 1) return block.layers[0];
    throw new BraidError('usage', `Name single layers, such as 'attention mamba1', not '${model.pattern}'.`);
  });
}

function productsOfModel(source: string, machine: MachineDefaults, { set }: Options): Product[] {
  const { model, train } = freeze(readSettings(source, { overrides: set, steps: 1 }), {
    ...machine,
    lanes: false,
  });
  return productsOf(buildTraining(model, train).step);
}
