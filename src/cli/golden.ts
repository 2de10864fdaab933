/**
 * `npm run --silent golden -- FILE... [--executor reference|native] [--precision float32|float64]`: compares models with
 * what their authors' code computed. One JSON line per file; exit code 1 when one is past the tolerance.
 */
import { Command, Option } from 'commander';
import { BraidError } from '../graph/index.ts';
import { compareWithGolden } from '../models/golden.ts';
import type { ExecutorName } from '../runtime/index.ts';
import { createExecutor, executorNames } from '../runtime/index.ts';
import { reportFailure } from './failure.ts';

interface Options {
  readonly executor: ExecutorName;
  readonly precision: 'float32' | 'float64';
}

async function compareAll(files: readonly string[], { executor: name, precision }: Options): Promise<void> {
  if (precision === 'float64' && name !== 'reference') {
    throw new BraidError(
      'usage',
      `--precision float64 runs on the reference executor only; given --executor ${name}.`,
    );
  }
  const executor = createExecutor(name, { precision });
  for (const file of files) {
    const result = await compareWithGolden(file, executor);
    process.stdout.write(`${JSON.stringify({ ...result, precision })}\n`);
    if (!result.passed) process.exitCode = 1;
  }
}

const command = new Command('golden')
  .description('Compares models with golden files: relative errors of logits, loss and the worst gradient.')
  .argument('<files...>', 'safetensors files with weights, ids, logits, loss and gradients')
  .addOption(new Option('--executor <name>', 'what runs the model').choices(executorNames).default('native'))
  .addOption(
    new Option('--precision <name>', 'of values and products (float64: reference only)')
      .choices(['float32', 'float64'])
      .default('float32'),
  )
  .addHelpText('after', '\nExample:\n  npm run --silent golden -- test/fixtures/golden/flowhn/*.safetensors')
  .action(compareAll);

command.parseAsync(process.argv).catch((error: unknown) => {
  process.exitCode = reportFailure(error);
});
