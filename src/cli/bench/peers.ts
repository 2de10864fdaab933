/** `braid bench peers`: the same work in the systems people use today, in turn with Braid. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { gaugeOf, measureStep } from '../../bench/generate.ts';
import { describeSubject } from '../../bench/measurement.ts';
import { benchPeers, type OwnWork, type PeerCommand, peerFolder } from '../../bench/peers.ts';
import { measureTraining } from '../../bench/train.ts';
import { BraidError } from '../../graph/index.ts';
import type { Executor } from '../../runtime/index.ts';
import { type FrozenRunConfig, settle } from '../../train/index.ts';
import { count, several } from '../arguments.ts';
import { onInterrupt } from '../signals.ts';
import { addCommonOptions, type CommonOptions, measure, openModels, tell } from './options.ts';

interface Options extends CommonOptions {
  readonly python: readonly string[];
  readonly scan: readonly string[];
  readonly precision: readonly string[];
  readonly packages?: string;
  readonly position: number;
  readonly steps: number;
}

export function peersCommand(): Command {
  const command = new Command('peers')
    .description(
      'Training in PyTorch, inference in JavaScript packages: the same models in turn with Braid (from a clone).',
    )
    .argument('<models...>', 'presets that the peers know too: bench/peers/README.md')
    .option('--python <path>', 'a Python with PyTorch; may be given again', several, [])
    .option(
      '--scan <name>',
      "PyTorch's scan: chunked or recurrence; may be given again (default: chunked)",
      several,
      [],
    )
    .option(
      '--precision <name>',
      "PyTorch's precision: float32 or bfloat16; may be given again (default: both)",
      several,
      [],
    )
    .option('--packages <folder>', 'a folder in whose node_modules the JavaScript peers are installed')
    .option(
      '--position <n>',
      'tokens of the prompt, and before the generated token, in inference',
      count,
      256,
    )
    .option('--steps <n>', 'measured samples of each over all rounds', count, 3);
  return addCommonOptions(command)
    .addHelpText(
      'after',
      '\nExample:\n  braid bench peers llama-135m mamba1-135m --python /tmp/peers/bin/python --set train.batch=4 train.length=1024',
    )
    .action(run);
}

async function run(models: string[], options: Options): Promise<void> {
  if (!existsSync(peerFolder)) {
    throw new BraidError(
      'usage',
      'bench/peers is not part of the installed package; use a clone of the repository.',
    );
  }
  if (options.python.length === 0 && options.packages === undefined) {
    throw new BraidError(
      'usage',
      'Say where the peers are: --python PATH for PyTorch, --packages FOLDER for JavaScript.',
    );
  }
  const { configs, executor, machine } = openModels(models, options);
  const own: OwnWork[] = [];
  const peers: PeerCommand[] = [];
  for (const [index, source] of configs.entries()) {
    const config = await settle(source, { executor, machine, tell });
    const name = config.model.name ?? models[index];
    if (options.python.length > 0) addTraining({ name, config, executor }, options, own, peers);
    if (options.packages !== undefined) addInference({ name, config, executor }, options, own, peers);
  }
  const { steps } = options;
  const total = Math.min(options.rounds, steps) * (own.length + peers.length);
  const interruption = onInterrupt('Stopping.');
  try {
    await measure(
      { kind: 'peers', options, executor, samples: steps, total },
      async ({ onDone, ...around }) => {
        const { signal } = interruption;
        const result = await benchPeers({ ...around, own, peers, samples: steps, signal, onVisit: onDone });
        for (const { system, subject, reason } of result.missing) {
          tell(`Left out: ${system} on ${describeSubject(subject)}: ${reason}`);
        }
        return result;
      },
    );
  } finally {
    interruption.release();
  }
}

interface Chosen {
  readonly name: string;
  readonly config: FrozenRunConfig;
  readonly executor: Executor;
}

/** Braid's own steps in a round, at least: they are short against those of the peers, and the machine does not stand still. */
const fewestSteps = 3;

/** One optimizer step: in Braid, and in every PyTorch at both precisions. */
function addTraining(
  { name, config, executor }: Chosen,
  options: Options,
  own: OwnWork[],
  peers: PeerCommand[],
): void {
  const { model, train } = config;
  const { batch, length } = train;
  const subject = { model: name, what: 'training step', batch, length };
  own.push({
    subject,
    measure: async (samples, probes) => {
      const steps = Math.max(samples, fewestSteps);
      const gauge = await probes.product(train.precision);
      const {
        seconds,
        probes: probed,
        work,
      } = await measureTraining({ model, train, executor, steps, gauge });
      return { precision: train.precision, seconds, ...(probed ? { probes: probed } : {}), work };
    },
  });
  const scans = options.scan.length > 0 ? options.scan : ['chunked'];
  const precisions = options.precision.length > 0 ? options.precision : ['float32', 'bfloat16'];
  for (const [index, command] of options.python.entries()) {
    for (const scan of scans) {
      for (const precision of precisions) {
        const given = { precision, batch, length, threads: executor.threads, scan, steps: '{samples}' };
        const which = options.python.length > 1 ? ` (${index + 1})` : '';
        peers.push({
          subject,
          system: `PyTorch${which}${scan === 'chunked' ? '' : `, ${scan},`}`,
          precision,
          threads: executor.threads,
          command,
          arguments: [
            'torch_train.py',
            name,
            ...Object.entries(given).flatMap(([key, value]) => [`--${key}`, String(value)]),
          ],
        });
      }
    }
  }
}

/** Scripts of bench/peers that run in Node.js, and what each of them does. */
const scripts = [
  { script: 'onnx_llama.mjs', system: 'onnxruntime-node', precision: 'float32', what: 'prompt' },
  { script: 'onnx_llama.mjs', system: 'onnxruntime-node', precision: 'float32', what: 'token' },
  { script: 'llamacpp_llama.mjs', system: 'node-llama-cpp', precision: 'bfloat16', what: 'prompt' },
  { script: 'llamacpp_llama.mjs', system: 'node-llama-cpp', precision: 'bfloat16', what: 'token' },
  { script: 'tfjs_llama.mjs', system: 'TensorFlow.js', precision: 'float32', what: 'prompt' },
  { script: 'jax_llama.mjs', system: 'jax-js', precision: 'float32', what: 'prompt' },
] as const;

/** Reading a prompt, and generating one token after it, on one row. */
function addInference(
  { name, config, executor }: Chosen,
  options: Options,
  own: OwnWork[],
  peers: PeerCommand[],
): void {
  const { model, train } = config;
  const { position } = options;
  const { precision } = train;
  for (const what of ['prompt', 'token'] as const) {
    const subject = { model: name, what, batch: 1, length: position };
    const at = what === 'prompt' ? { tokens: position, position: 0 } : { tokens: 1, position };
    own.push({
      subject,
      measure: async (samples, probes) => {
        const step = { subject, model, precision, batch: 1, ...at };
        const gauge = await gaugeOf(step, probes);
        return { precision, ...(await measureStep(step, executor, samples, { gauge })) };
      },
    });
    for (const peer of scripts) {
      if (peer.what !== what) continue;
      peers.push({
        subject,
        system: peer.system,
        precision: peer.precision,
        threads: executor.threads,
        command: process.execPath,
        arguments: [
          peer.script,
          name,
          ...['--packages', resolve(options.packages ?? ''), '--what', what, '--length', String(position)],
          ...['--threads', String(executor.threads), '--samples', '{samples}'],
        ],
      });
    }
  }
}
