import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Graph } from '../graph/index.ts';
import { buildModel } from './build.ts';
import { readModelConfig } from './config.ts';
import { parsePattern } from './pattern.ts';

const read = (page: string): string =>
  readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), 'utf8');
// The page also shows what is said of a configuration that is wrong.
const examples = [...read('configuration').matchAll(/```yaml\n([\s\S]*?)```/g)]
  .map(([, yaml = '']) => yaml)
  .filter((yaml) => !yaml.startsWith('# faulty.yaml'));

describe('the pages on configurations', () => {
  it('show some', () => {
    expect(examples.length).toBeGreaterThan(0);
  });

  it.each(examples.map((yaml, index) => [index + 1, yaml] as const))('example %i builds', (_, yaml) => {
    const options = { batch: 1, length: 16, documents: true };
    expect(buildModel(new Graph(), readModelConfig(yaml, 'example'), options).hidden.shape[1]).toBe(16);
  });

  it('has patterns that can be read', () => {
    const text = read('architectures');
    const begin = text.indexOf('| model | pattern |');
    const table = text.slice(begin, text.indexOf('\n\n', begin));
    const patterns = [...table.matchAll(/`([^`]+)`/g)].map(([, pattern = '']) =>
      pattern.replaceAll('\\|', '|'),
    );
    expect(patterns.length).toBeGreaterThan(4);
    for (const pattern of patterns) expect(parsePattern(pattern).length, pattern).toBeGreaterThan(0);
  });
});
