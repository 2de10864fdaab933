/**
 * Code that all architectures share never asks which one it has: no mixer, fusion, strategy or preset is named in it. Names
 * stand in the folder of what they name, in registries, and in data: presets, prepared studies, the tables of foreign formats.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fusions, routingStrategies } from '../blocks/index.ts';
import { layers } from '../mixers/index.ts';
import { presets } from './presets/index.ts';

const source = fileURLToPath(new URL('..', import.meta.url));

/** Where names may stand; operations have names of their own, some of which are the same words. */
const allowed = [
  /^(graph|ops|compiler)\//,
  /^mixers\/(registry\.ts$|[^/]+\/)/,
  /^blocks\/(fusion|routing)\//,
  /^models\/(presets|interchange)\//,
  /^study\/studies\//,
];

const names = new Set([
  ...[...layers, ...fusions, ...routingStrategies].map(({ name }) => name),
  ...presets.flatMap(({ name, family }) => [name, family]),
]);

/** The texts in quotes that are a name, or a pattern with one, outside comments. */
function namesIn(code: string): readonly string[] {
  const plain = code.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');
  // Quotes inside other quotes are talk, such as the examples of a help text.
  const quoted = /'((?:[^'\n\\]|\\.)*)'|"(?:[^"\n\\]|\\.)*"|`(?:[^`\\]|\\.)*`/g;
  const literals = [...plain.matchAll(quoted)].map(([, text = '']) => text);
  return literals.flatMap((text) => {
    const pattern = /^[\w\s()&|*+-]+$/.test(text) && /[&|*+]/.test(text);
    return (pattern ? text.split(/[\s()&|*+]+/) : [text]).filter((word) => names.has(word));
  });
}

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.ts$/.test(name) && !/(\.test|esting)\.ts$/.test(name))
    .map((name) => join(folder, name));
}

describe('names of architectures', () => {
  it('are found where they stand', () => {
    expect(namesIn("if (name === 'mamba1') run('attention+mlp*2'); // 'mlp'\n/* 'chunks' */")).toEqual([
      'mamba1',
      'attention',
      'mlp',
    ]);
    expect(namesIn("help(\"say 'mlp'\", `or 'moe'`)")).toEqual([]);
    expect(namesIn("fail('there is no branch'); pick('mamba')")).toEqual([]);
  });

  it('do not appear in shared code', () => {
    const found = filesOf(source)
      .map((file) => relative(source, file).replaceAll('\\', '/'))
      .filter((file) => !allowed.some((place) => place.test(file)))
      .flatMap((file) => namesIn(readFileSync(join(source, file), 'utf8')).map((name) => `${file}: ${name}`));
    expect(found).toEqual([]);
  });
});
