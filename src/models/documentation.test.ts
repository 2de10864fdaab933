import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { buildModel } from './build.ts';
import { readModelConfig } from './config.ts';
import { parsePattern } from './pattern.ts';

const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const examples = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, yaml = '']) => yaml);

describe('docs/configuration.md', () => {
  it.each(examples.map((yaml, index) => [index + 1, yaml] as const))('example %i builds', (_, yaml) => {
    const options = { batch: 1, length: 16, documents: true };
    expect(buildModel(new Graph(), readModelConfig(yaml, 'example'), options).hidden.shape[1]).toBe(16);
  });

  it('has patterns that can be read', () => {
    const table = text.slice(text.indexOf('| model | pattern |'), text.indexOf('## Fields'));
    const patterns = [...table.matchAll(/`([^`]+)`/g)].map(([, pattern = '']) =>
      pattern.replaceAll('\\|', '|'),
    );
    expect(patterns.length).toBeGreaterThan(4);
    for (const pattern of patterns) expect(parsePattern(pattern).length, pattern).toBeGreaterThan(0);
  });
});
