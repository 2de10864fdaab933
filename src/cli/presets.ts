/** `braid presets`: the configurations by name. */
import { Command } from 'commander';
import { stringify } from 'yaml';
import { BraidError } from '../graph/index.ts';
import { findPreset, type Preset, presets, suggestName } from '../models/index.ts';
import { textTable } from '../report/table.ts';

export function command(): Command {
  return new Command('presets')
    .description('List the presets, or print the configuration of one as YAML to start from.')
    .argument('[name]', 'a preset to print')
    .option('--size <size>', 'only this size, such as 135m')
    .option('--family <family>', 'only this family, such as hymba')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nExamples:\n  braid presets --size 135m\n  braid presets --family hymba\n  braid presets flowhn-fac-135m > model.yaml',
    )
    .action((name: string | undefined, options: Options) => {
      if (name !== undefined) print(findPreset(name), options.json === true);
      else list(options);
    });
}

interface Options {
  readonly size?: string;
  readonly family?: string;
  readonly json?: boolean;
}

function print(preset: Preset, json: boolean): void {
  const text = json ? `${JSON.stringify(preset, null, 2)}\n` : stringify(preset.config);
  process.stdout.write(text);
}

function list({ size, family, json }: Options): void {
  requireKnown('size', size);
  requireKnown('family', family);
  const shown = presets.filter(
    (preset) =>
      (size === undefined || preset.size === size) && (family === undefined || preset.family === family),
  );
  if (json === true) {
    process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
    return;
  }
  const columns = [{ title: 'preset' }, { title: 'pattern' }, { title: 'what it is' }];
  const rows = shown.map(({ name, config, summary }) => [name, shortened(String(config.pattern)), summary]);
  process.stdout.write(`${textTable(columns, rows)}\n`);
}

function requireKnown(key: 'size' | 'family', value: string | undefined): void {
  const known = [...new Set(presets.map((preset) => preset[key]))];
  if (value === undefined || known.includes(value)) return;
  throw new BraidError('usage', `There is no ${key} '${value}'. ${suggestName(value, known)}`);
}

const widestPattern = 56;

/** A pattern that fits into a table; `braid presets NAME` shows all of it. */
function shortened(pattern: string): string {
  return pattern.length > widestPattern ? `${pattern.slice(0, widestPattern - 2)} …` : pattern;
}
