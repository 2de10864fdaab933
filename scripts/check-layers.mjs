/**
 * Checks the house rules that a compiler does not know: a folder of `src` imports only folders above it in the list
 * below, no source file grows past 400 lines, and no file is a drawer called `utils`.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const layers = [
  'graph',
  'ops',
  'compiler',
  'runtime',
  'nn',
  'mixers',
  'blocks',
  'models',
  'data',
  'train',
  'eval',
  'generate',
  'bench',
  'report',
  'study',
  'cli',
];
const maximumLines = 400;

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const source = path.join(root, 'src');
const problems = [];

for (const file of filesBelow(source)) {
  const name = path.relative(source, file);
  const text = readFileSync(file, 'utf8');
  const isTest = name.endsWith('.test.ts');
  if (/(^|\/)(utils?|helpers?|misc)\.ts$/.test(name))
    problems.push(`src/${name}: name the file after its idea`);
  if (!isTest && text.split('\n').length - 1 > maximumLines) {
    problems.push(`src/${name}: ${text.split('\n').length - 1} lines; at most ${maximumLines}`);
  }
  if (!isTest && name.includes('/')) checkImports(name, text);
}
for (const file of filesBelow(path.join(root, 'native'))) {
  const lines = readFileSync(file, 'utf8').split('\n').length - 1;
  if (/\.(cpp|hpp)$/.test(file) && lines > maximumLines) {
    problems.push(`${path.relative(root, file)}: ${lines} lines; at most ${maximumLines}`);
  }
}

if (problems.length > 0) {
  process.stderr.write(`${problems.join('\n')}\n`);
  process.exit(1);
}

function checkImports(name, text) {
  const folder = name.split('/')[0];
  const own = layers.indexOf(folder);
  if (own < 0) {
    problems.push(`src/${name}: folder '${folder}' is not in the list of layers`);
    return;
  }
  for (const match of text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
    const target = path.relative(source, path.resolve(source, path.dirname(name), match[1]));
    const other = layers.indexOf(target.split('/')[0]);
    if (other > own) problems.push(`src/${name}: '${folder}' may not import '${target}' (it stands below)`);
  }
}

function* filesBelow(folder) {
  for (const entry of readdirSync(folder)) {
    const full = path.join(folder, entry);
    if (statSync(full).isDirectory()) yield* filesBelow(full);
    else if (/\.(ts|cpp|hpp)$/.test(entry)) yield full;
  }
}
