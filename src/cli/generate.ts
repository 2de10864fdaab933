/** `braid generate`: continues a text with a trained run, as a stream. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { openExecutor } from '../bench/session.ts';
import type { GeneratingModel, LoadedModel, Session, StateOwner, WeightFormat } from '../generate/index.ts';
import {
  checkSampling,
  chooseLanes,
  createSession,
  decodeStream,
  encodePrompt,
  generate,
  loadModel,
  loadState,
  saveState,
  weightFormats,
} from '../generate/index.ts';
import { formatBytes, formatSeconds } from '../report/format.ts';
import { openRun } from '../train/index.ts';
import { countOrNone, number } from './arguments.ts';
import { onInterrupt } from './signals.ts';

const laneChoices = ['on', 'off', 'auto'] as const;

interface Options {
  readonly prompt: string;
  readonly ids?: readonly number[];
  readonly tokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly seed: number;
  readonly weights?: WeightFormat;
  readonly lanes: (typeof laneChoices)[number];
  readonly recompute?: boolean;
  readonly loadState?: string;
  readonly saveState?: string;
  readonly executor?: 'native' | 'reference';
  readonly json?: boolean;
}

export function command(): Command {
  return new Command('generate')
    .description('Continue a text with the newest checkpoint of a run.')
    .argument('<run>', 'the folder of a run')
    .option('-p, --prompt <text>', 'the text to continue', '')
    .addOption(
      new Option('--ids <list>', 'token ids to continue, such as 1,2,3; ids come out')
        .argParser(tokenIds)
        .conflicts('prompt'),
    )
    .option('-n, --tokens <n>', 'most tokens to generate', countOrNone, 200)
    .option('--temperature <t>', '0 always takes the most likely token', number, 0.8)
    .option('--top-k <k>', 'only the k most likely tokens; 0: all', number, 0)
    .option('--top-p <p>', 'only the most likely tokens that together reach p', number, 1)
    .option('--seed <n>', 'the same seed continues the same prompt in the same way', number, 1)
    .addOption(
      new Option('--weights <format>', 'read the weights in few bits: less memory to read per token').choices(
        weightFormats,
      ),
    )
    .addOption(
      new Option(
        '--lanes <choice>',
        'branches of a block at the same time; auto measures some tokens both ways first',
      )
        .choices(laneChoices)
        .default('off'),
    )
    .option('--recompute', 'compute the whole sequence again for every token (slow)')
    .option('--load-state <file>', 'go on where a saved state stands; a prompt follows what came before')
    .option('--save-state <file>', 'write what the model carries at the end, to go on from later')
    .option('--executor <name>', 'native or reference (default: that of the run)')
    .option('--json', 'print the text and the speed as JSON at the end')
    .addHelpText(
      'after',
      '\nExamples:\n  braid generate runs/flowhn-chunks-nano --prompt "The jury said" --tokens 300 --top-p 0.9' +
        '\n  braid generate runs/flowhn-chunks-nano --prompt "The jury said" --save-state jury.safetensors' +
        '\n  braid generate runs/flowhn-chunks-nano --load-state jury.safetensors --tokens 300',
    )
    .action(run);
}

function tokenIds(text: string): readonly number[] {
  const ids = text.split(',').map(Number);
  if (/^\s*\d+(\s*,\s*\d+)*\s*$/.test(text)) return ids;
  throw new InvalidArgumentError('Give token ids with commas between them.');
}

async function run(folder: string, options: Options): Promise<void> {
  const { temperature, topK, topP, seed } = options;
  const sampling = { temperature, topK, topP, seed };
  checkSampling(sampling);
  const opened = openRun(folder);
  const train = { ...opened.config.train, ...(options.executor ? { executor: options.executor } : {}) };
  const { executor } = openExecutor(train);
  const interruption = onInterrupt('Stopping.');
  const model = await loadModel(opened, executor, (message) => process.stderr.write(`${message}\n`));
  try {
    const weighed = { ...model, ...(options.weights ? { weights: options.weights } : {}) };
    const lanes = options.lanes === 'auto' ? await measureLanes(weighed) : options.lanes === 'on';
    const reading = { ...weighed, lanes };
    const session = createSession(reading, { recompute: options.recompute === true });
    const { prompt, before } = await begin(session, model, options);
    let count = 0;
    let last = prompt.at(-1);
    const started = performance.now();
    const tokens = generate(session, prompt, {
      sampling,
      tokens: options.tokens,
      stop: model.tokenizer.separator,
      signal: interruption.signal,
    });
    const counted = (async function* () {
      for await (const token of tokens) {
        count++;
        last = token;
        yield token;
      }
    })();
    let text = '';
    if (!options.json) process.stdout.write(options.ids ? '' : options.prompt);
    const pieces = options.ids ? numbers(counted) : decodeStream(counted, model.tokenizer);
    try {
      for await (const piece of pieces) {
        text += piece;
        if (!options.json) process.stdout.write(piece);
      }
    } catch (error) {
      // The reason stands on a line of its own.
      if (!options.json) process.stdout.write('\n');
      throw error;
    }
    const tokensPerSecond = count / ((performance.now() - started) / 1000);
    let kept = '';
    if (options.saveState !== undefined) {
      if (options.tokens === 0 && prompt.length > 1) await session.feed(prompt.slice(0, -1));
      // What was drawn last was not fed; a text that ended goes on with the separator.
      const ended = session.length === before + prompt.length + count && count < options.tokens;
      kept = await save(options.saveState, session, ended ? model.tokenizer.separator : last, model);
    }
    if (options.json) {
      const result = {
        run: folder,
        step: model.step,
        ...(options.weights ? { weights: options.weights } : {}),
        prompt: options.ids ?? options.prompt,
        text,
        tokens: count,
        tokensPerSecond,
        stateBytes: session.bytes,
      };
      process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    } else {
      process.stdout.write('\n');
      process.stderr.write(
        `${count} tokens, ${tokensPerSecond.toFixed(1)} tokens/s, prompt included\n${kept}`,
      );
    }
    session.dispose();
  } finally {
    interruption.release();
    model.store.dispose();
  }
}

async function measureLanes(model: GeneratingModel): Promise<boolean> {
  const { lanes, off, on } = await chooseLanes(model);
  const times = `${formatSeconds(on)} a token in lanes, ${formatSeconds(off)} without`;
  const why = on === 0 ? 'no block has branches to put side by side on these threads' : times;
  process.stderr.write(`Lanes: ${lanes ? 'on' : 'off'} (${why}).\n`);
  return lanes;
}

/** What to feed first, and how many tokens the session has seen before. */
async function begin(
  session: Session,
  model: LoadedModel,
  options: Options,
): Promise<{ readonly prompt: readonly number[]; readonly before: number }> {
  if (options.loadState === undefined) {
    const prompt = options.ids ?? encodePrompt(options.prompt, model.tokenizer);
    return { prompt: Array.from(prompt), before: 0 };
  }
  const { state, pending } = await loadState(options.loadState, ownerOf(model));
  session.restore(state);
  const prompt = options.ids ?? model.tokenizer.encode(options.prompt);
  return { prompt: [...pending, ...prompt], before: state.length };
}

/** Writes the state; what to say of it. */
async function save(
  path: string,
  session: Session,
  next: number | undefined,
  model: LoadedModel,
): Promise<string> {
  const pending = next === undefined ? [] : [next];
  await saveState(path, { state: session.snapshot(), pending }, ownerOf(model));
  return `${path}: the state after ${session.length} tokens, ${formatBytes(session.bytes)}\n`;
}

function ownerOf({ model, store, tokenizer }: LoadedModel): StateOwner {
  return { model, store, tokenizer: tokenizer.identity };
}

/** Token ids as text, with spaces between them. */
async function* numbers(tokens: AsyncIterable<number>): AsyncGenerator<string, void, undefined> {
  let before = '';
  for await (const token of tokens) {
    yield `${before}${token}`;
    before = ' ';
  }
}
