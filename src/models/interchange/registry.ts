/** Families by `model_type`. A new family is one file and one line here. */
import { BraidError } from '../../graph/index.ts';
import { suggestName } from '../nearest.ts';
import { falconH1 } from './families/falconH1.ts';
import { jamba } from './families/jamba.ts';
import { llama } from './families/llama.ts';
import { mamba } from './families/mamba.ts';
import { mamba2 } from './families/mamba2.ts';
import { nemotronH } from './families/nemotronH.ts';
import { recurrentGemma } from './families/recurrentGemma.ts';
import { isStateSpaces, stateSpaces } from './families/stateSpaces.ts';
import { zamba2 } from './families/zamba2.ts';
import type { Family } from './family.ts';
import type { Fields } from './fields.ts';

export const families: readonly Family[] = [
  llama,
  mamba,
  mamba2,
  jamba,
  falconH1,
  nemotronH,
  zamba2,
  recurrentGemma,
  stateSpaces,
];

/** Those that a model can be exported to. */
export const exportFamilies: readonly string[] = families.flatMap(({ name, write }) => (write ? [name] : []));

/** The family that a `config.json` says it is of. */
export function familyOf(fields: Fields): Family {
  if (!fields.has('model_type')) {
    if (isStateSpaces(fields)) return stateSpaces;
    throw fields.fail('model_type', `is missing. Known: ${families.map(({ name }) => name).join(', ')}.`);
  }
  const name = fields.text('model_type');
  const found = families.find((family) => family.name === name);
  if (found) return found;
  const known = families.map((family) => family.name);
  throw fields.fail('model_type', `is '${name}', which Braid cannot read. ${suggestName(name, known)}`);
}

/** A family to export to. */
export function findExportFamily(name: string): Family {
  const found = families.find((family) => family.name === name && family.write);
  if (found) return found;
  throw new BraidError(
    'usage',
    `There is no family '${name}' to export to. ${suggestName(name, exportFamilies)}`,
  );
}
