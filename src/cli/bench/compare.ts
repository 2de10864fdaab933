/** `braid bench compare`: what got better and what got worse between two reports. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { compareReports, type Differences } from '../../bench/difference.ts';
import type { BenchReport } from '../../bench/measurement.ts';
import { BraidError } from '../../graph/index.ts';
import { formatSeconds } from '../../report/format.ts';
import { textTable } from '../../report/table.ts';

interface Options {
  readonly json?: boolean;
}

export function compareCommand(): Command {
  return new Command('compare')
    .description(
      'Compare two reports that bench wrote with --out: what got better, what got worse, what is noise.',
    )
    .argument('<before>', 'JSON of the earlier call')
    .argument('<after>', 'JSON of the later call')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  braid bench compare before.json after.json')
    .action((before: string, after: string, options: Options) => {
      const result = compareReports(read(before), read(after));
      process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : describe(result));
    });
}

function read(path: string): BenchReport {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    const reason =
      cause instanceof SyntaxError ? 'it is not JSON' : ((cause as NodeJS.ErrnoException).code ?? '');
    throw new BraidError('file', `The report '${path}' cannot be read: ${reason}.`, { cause });
  }
  const report = value as Partial<BenchReport> | null;
  if (report?.version === 1 && report.kind !== undefined && Array.isArray(report.measurements)) {
    return report as BenchReport;
  }
  throw new BraidError(
    'file',
    `'${path}' is not a report of 'braid bench' (version 1). Make one with 'braid bench … --out ${path}'.`,
  );
}

const align = 'right' as const;
const columns = [
  { title: 'what' },
  { title: 'before', align },
  { title: 'after', align },
  { title: 'speed-up', align },
  { title: 'verdict' },
  { title: 'at equal machine', align },
  { title: 'verdict' },
];

function describe({ differences, missing, surroundings, peakRatio }: Differences): string {
  const rows = [...differences]
    .sort((a, b) => a.speedup - b.speedup)
    .map(({ name, before, after, speedup, verdict, atEqualMachine }) => [
      name,
      formatSeconds(before.median),
      formatSeconds(after.median),
      `${speedup.toFixed(3)} ×`,
      verdict,
      atEqualMachine ? `${atEqualMachine.speedup.toFixed(3)} ×` : '',
      atEqualMachine?.verdict ?? '',
    ]);
  const notes = [
    'noise: the quarter points of both overlap, or the medians differ by at most 1 %.',
    'At equal machine: the same ratio with time counted in what probes around the samples did in it (FLOPs of matrix products, or bytes read).',
    `The machine's own ceiling changed by × ${peakRatio.bfloat16.toFixed(3)} (bfloat16) and × ${peakRatio.float32.toFixed(3)} (float32).`,
    ...surroundings.map(({ what, before, after }) => `Not the same ${what}: ${before}; ${after}.`),
    ...missing.before.map((name) => `Only after: ${name}.`),
    ...missing.after.map((name) => `Only before: ${name}.`),
  ];
  return `${textTable(columns, rows)}\n\n${notes.join('\n')}\n`;
}
