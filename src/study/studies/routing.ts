import type { ModelConfig } from '../../models/index.ts';
import { parseModelConfig } from '../../models/index.ts';
import { planModel } from '../../models/plan.ts';
import type { Row } from '../design.ts';
import { fromPreset, type SmallSize, type Study } from './study.ts';

const lengths: Readonly<Record<SmallSize, number>> = { nano: 256, '10m': 512 };

/** Every strategy as FlowHN has it, and what `chunks` leaves to choose. */
function routed(size: SmallSize): Row[] {
  const chunk = size === 'nano' ? 16 : 64;
  const chunks = (changes: Readonly<Record<string, unknown>>): ModelConfig =>
    fromPreset('flowhn-chunks', size, { routing: { strategy: 'chunks', chunk, ...changes } });
  const strategies = ['ae', 'fa', 'fac', 'fa-code', 'fac-code'].map((name) => ({
    name,
    group: 'whole rows',
    model: fromPreset(`flowhn-${name}`, size),
  }));
  return [
    ...strategies,
    { name: 'chunks 3:2', group: 'chunks', model: chunks({}) },
    { name: 'chunks 1:1', group: 'chunks', model: chunks({ ratio: 0.5 }) },
    { name: 'chunks 1:3', group: 'chunks', model: chunks({ ratio: 0.25 }) },
    { name: 'chunks 3:1', group: 'chunks', model: chunks({ ratio: 0.75 }) },
    { name: `chunks of ${chunk / 4}`, group: 'chunks', model: chunks({ chunk: chunk / 4 }) },
    { name: `chunks of ${chunk * 2}`, group: 'chunks', model: chunks({ chunk: chunk * 2 }) },
  ];
}

/** FlowHN without split, with three quarters of the width and the MLP that comes nearest to the FLOPs of a split model. */
export function narrower(size: SmallSize): ModelConfig {
  const options = { length: lengths[size] };
  const flops = (model: ModelConfig): number => planModel(model, options).flopsPerToken.training;
  const target = flops(fromPreset('flowhn-fac', size));
  const whole = fromPreset('flowhn-none', size);
  const candidates = Array.from({ length: 24 }, (_, index) =>
    parseModelConfig({
      ...whole,
      name: 'flowhn-none-narrow',
      width: whole.width * 0.75,
      mlp: { width: 32 * (index + 1) },
    }),
  );
  const distance = (model: ModelConfig): number => Math.abs(flops(model) - target);
  return candidates.reduce((a, b) => (distance(b) < distance(a) ? b : a));
}

function whole(size: SmallSize): Row[] {
  const meaned = { type: 'mean', norm: true };
  const bare = { pattern: '(attention & mamba1)+mlp*3', fusion: meaned };
  return [
    { name: 'no split', group: 'no split', model: fromPreset('flowhn-none', size) },
    { name: 'no split, narrow', group: 'no split', model: narrower(size) },
    { name: 'no split, mean of norms', group: 'no split', model: fromPreset('flowhn-none', size, bare) },
    { name: 'shm', group: 'in turn', model: fromPreset('shm', size) },
    { name: 'hymba', group: 'heads', model: fromPreset('hymba', size) },
    { name: 'llama', group: 'one kind', model: fromPreset('llama', size) },
    { name: 'mamba1', group: 'one kind', model: fromPreset('mamba1', size) },
  ];
}

/**
 * The question behind FlowHN: splitting halves the work per token, and with it what each branch sees. Its own table
 * compares at equal tokens only, where the split models spend fewer FLOPs.
 */
export const routing: Study = {
  name: 'routing',
  summary: 'does splitting tokens between branches pay, and which split',
  question:
    'Does splitting tokens between attention and Mamba pay at equal FLOPs and at equal time, against narrower models ' +
    'without a split, a sequential hybrid and Hymba? Which strategy, ratio and chunk is best?',
  parts: (size) => {
    const rows = [...whole(size), ...routed(size)];
    return [
      { name: 'flops', title: 'Equal FLOPs', rows, equal: 'flops', share: 0.5 },
      { name: 'seconds', title: 'Equal seconds', rows, equal: 'seconds', share: 0.5 },
    ];
  },
};
