/** `braid presets`: the configurations by name. */
import { Command } from 'commander';
import { stringify } from 'yaml';
import { BraidError } from '../graph/index.ts';
import { findPreset, type Preset, presets } from '../models/index.ts';
import { textTable } from '../report/table.ts';

export function command(): Command {
  return new Command('presets')
    .description('List the presets, or print the configuration of one as YAML to start from.')
    .argument('[name]', 'a preset to print')
    .option('--size <size>', 'only this size, such as 135m')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  braid presets --size 135m\n  braid presets flowhn-fac-135m > model.yaml',
    )
    .action((name: string | undefined, options: { size?: string; json?: boolean }) => {
      if (name !== undefined) print(findPreset(name), options.json === true);
      else list(options.size, options.json === true);
    });
}

function print(preset: Preset, json: boolean): void {
  const text = json ? `${JSON.stringify(preset, null, 2)}\n` : stringify(preset.config);
  process.stdout.write(text);
}

function list(size: string | undefined, json: boolean): void {
  const sizes = [...new Set(presets.map((preset) => preset.size))];
  if (size !== undefined && !sizes.includes(size)) {
    throw new BraidError('usage', `There is no size '${size}'. Sizes: ${sizes.join(', ')}.`);
  }
  const shown = presets.filter((preset) => size === undefined || preset.size === size);
  if (json) {
    process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
    return;
  }
  const columns = [{ title: 'preset' }, { title: 'pattern' }, { title: 'what it is' }];
  const rows = shown.map(({ name, config, summary }) => [name, String(config.pattern ?? 'layers'), summary]);
  process.stdout.write(`${textTable(columns, rows)}\n`);
}
