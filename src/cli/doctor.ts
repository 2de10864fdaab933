/** `braid doctor`: what was found, what was chosen, and why. */

import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { measurePeak } from '../bench/peak.ts';
import { threadCount } from '../bench/threadCount.ts';
import { BraidError } from '../graph/index.ts';
import { formatBytes, formatCount } from '../report/format.ts';
import { textTable } from '../report/table.ts';
import { createNativeExecutor, inspectNative } from '../runtime/index.ts';

export function command(): Command {
  return new Command('doctor')
    .description('Show what this machine offers and what Braid chose.')
    .option('--build', 'build the native addon first')
    .option('--peak', 'also measure the peak of the matrix product (a few seconds)')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExample:\n  braid doctor --peak')
    .action(async (options: { build?: boolean; peak?: boolean; json?: boolean }) => {
      if (options.build) build();
      const report = await examine(options.peak === true);
      if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
      else print(report);
    });
}

/** Runs the build script that comes with the package. */
function build(): void {
  const script = fileURLToPath(new URL('../../scripts/build-native.mjs', import.meta.url));
  const { status } = spawnSync(process.execPath, [script], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0)
    throw new BraidError('native', 'The native addon could not be built; the reason stands above.');
}

type Report = Awaited<ReturnType<typeof examine>>;

async function examine(peak: boolean) {
  const native = inspectNative();
  const measured: Record<string, number> = {};
  if (peak && native.available) {
    const executor = createNativeExecutor();
    for (const precision of ['bfloat16', 'float32'] as const) {
      measured[precision] = (await measurePeak(executor, { precision })).flopsPerSecond;
    }
  }
  return {
    node: process.version,
    system: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    threads: availableParallelism(),
    memory: { total: totalmem(), free: freemem() },
    native,
    executor: native.available ? 'native' : 'none',
    peakFlopsPerSecond: measured,
  };
}

function print(report: Report): void {
  const { native, memory } = report;
  const rows = [
    ['Node', report.node],
    ['system', report.system],
    ['CPU', `${report.cpu}, ${threadCount(report.threads)}`],
    ['memory', `${formatBytes(memory.total)}, ${formatBytes(memory.free)} free`],
    [
      'native addon',
      native.available ? `available, compiled by ${native.compiler ?? 'unknown'}` : 'not available',
    ],
    [
      'kernels',
      native.isas.length > 0 ? `${native.isas.join(', ')}; chosen: ${native.isa ?? 'none'}` : 'none',
    ],
    ...Object.entries(report.peakFlopsPerSecond).map(([precision, flops]) => [
      `peak, ${precision}`,
      `${formatCount(flops)}FLOP/s`,
    ]),
  ];
  process.stdout.write(`${textTable([{ title: 'what' }, { title: 'found' }], rows)}\n`);
  if (native.available) {
    process.stdout.write(
      '\nEverything is there: programs run on the native executor. BRAID_ISA forces other kernels.\n',
    );
    return;
  }
  process.stdout.write(
    `\n${native.reason ?? 'The native addon is missing.'}\n` +
      "'plan' and 'presets' work without it; what computes needs it, or '--executor reference', which is slow.\n",
  );
}
