/** `braid plan`: parameters, FLOPs, bytes, states and balance of a configuration, without running it. */
import { Command } from 'commander';
import { parseModelConfig } from '../models/index.ts';
import { type ModelPlan, planModel } from '../models/plan.ts';
import { formatBytes, formatCount, formatInteger, formatPercent } from '../report/format.ts';
import { textTable } from '../report/table.ts';
import { buildTraining, freeze, type MemoryPlan, planMemory } from '../train/index.ts';
import { readSettings } from './settings.ts';

export function command(): Command {
  return new Command('plan')
    .description(
      'Show what a model costs before it runs: parameters, FLOPs, memory, states, balance of branches.',
    )
    .argument('<model>', 'a preset, or a YAML file of a model or a whole run')
    .argument('[overrides...]', 'values of the configuration, as path.to.key=value')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  braid plan flowhn-fac-135m\n  braid plan flowhn-fac-135m train.length=8192 model.routing.ratio=0.4 --json',
    )
    .action((source: string, overrides: string[], options: { json?: boolean }) => {
      const config = readSettings(source, { overrides });
      const model = parseModelConfig(config.model);
      const { train } = freeze(config, { threads: 2, bfloat16: true, lanes: false });
      const plan = planModel(model, { length: train.length });
      const { step, update } = buildTraining(model, train);
      const memory = planMemory(update ? [step, update] : [step]);
      const context = { batch: train.batch, precision: train.precision };
      if (options.json) {
        process.stdout.write(`${JSON.stringify({ ...plan, memory: { ...memory, ...context } }, null, 2)}\n`);
      } else {
        print(plan, memory, context);
      }
    });
}

const right = 'right' as const;

function print(
  plan: ModelPlan,
  memory: MemoryPlan,
  { batch, precision }: { batch: number; precision: string },
): void {
  const { parameters, flopsPerToken, states } = plan;
  const write = (text: string): void => {
    process.stdout.write(`${text}\n`);
  };
  write(`${plan.name ?? 'model'} at length ${plan.length}\n`);
  write(
    textTable(
      [{ title: 'what' }, { title: 'figure', align: right }, { title: '' }],
      [
        [
          'parameters',
          formatInteger(parameters.total),
          `${formatCount(parameters.nonEmbedding)} without embedding and head`,
        ],
        [
          'FLOPs per token, forward',
          formatCount(flopsPerToken.forward),
          'model FLOPs, causal scores, head included',
        ],
        ['FLOPs per token, training', formatCount(flopsPerToken.training), '3 × forward'],
        ['bytes, forward', formatBytes(plan.bytes.forward), 'read and written for one row, in float32'],
        ['memory of training', formatBytes(memory.total), `batch ${batch} × ${plan.length}, ${precision}`],
        ['  weights', formatBytes(memory.weights), 'with their BF16 copies where there are any'],
        ['  optimizer', formatBytes(memory.optimizer), 'two moments'],
        ...(memory.gradients > 0 ? [['  gradients', formatBytes(memory.gradients), 'accumulated']] : []),
        ['  arena', formatBytes(memory.arena), 'activations, gradients, scratch'],
        [
          'state of one sequence',
          states.bytes === null ? 'none' : formatBytes(states.bytes),
          states.bytes === null
            ? 'the routing depends on the length'
            : `at ${plan.length} tokens, in float32; ${formatBytes(states.bfloat16 ?? 0)} in BF16`,
        ],
        ...(states.perToken === null
          ? []
          : [
              [
                '  one more token',
                formatBytes(states.perToken.bytes),
                `${formatBytes(states.perToken.bfloat16)} in BF16`,
              ],
            ]),
      ],
    ),
  );
  write('');
  write(
    textTable(
      [{ title: 'layer' }, { title: 'parameters', align: right }, { title: 'FLOPs/token', align: right }],
      plan.layers.map((layer) => [
        layer.path,
        formatInteger(layer.parameters),
        formatCount(layer.flopsPerToken),
      ]),
    ),
  );
  if (plan.blocks.length > 0) printBlocks(plan, write);
  if (plan.findings.length > 0) printFindings(plan, write);
}

/** Findings, each once with the places it is about. */
function printFindings({ findings }: ModelPlan, write: (text: string) => void): void {
  const places = new Map<string, string[]>();
  for (const { path, finding, source } of findings) {
    const text = `${finding}\n  (${source})`;
    places.set(text, [...(places.get(text) ?? []), path]);
  }
  for (const [text, paths] of places) {
    const [first, ...more] = paths;
    const where = more.length === 0 ? first : `${first} and ${more.length} more`;
    write(`\nWorth knowing: ${where}: ${text}`);
  }
}

function printBlocks(plan: ModelPlan, write: (text: string) => void): void {
  write('');
  const rows = plan.blocks.flatMap((block) =>
    block.branches.map((branch, index) => [
      index === 0 ? block.path : '',
      index === 0 ? block.strategy : '',
      index === 0 && block.ratio !== null ? block.ratio.toFixed(4) : '',
      branch.label,
      formatInteger(branch.tokens),
      formatCount(branch.flops),
      index === 0 ? formatPercent(block.balance) : '',
    ]),
  );
  const columns = [
    { title: 'block' },
    { title: 'strategy' },
    { title: 'ratio', align: right },
    { title: 'branch' },
    { title: 'tokens', align: right },
    { title: 'FLOPs', align: right },
    { title: 'balance', align: right },
  ];
  write(textTable(columns, rows));
}
