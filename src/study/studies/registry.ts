/** The prepared studies by name. A study is one file and one line here. */
import { BraidError } from '../../graph/index.ts';
import { nearestName } from '../../models/index.ts';
import { context } from './context.ts';
import { flowhnTable } from './flowhnTable.ts';
import { fusion } from './fusion.ts';
import { layouts } from './layouts.ts';
import { placement } from './placement.ts';
import { ratio } from './ratio.ts';
import { routing } from './routing.ts';
import { scaling } from './scaling.ts';
import type { Study, StudySize } from './study.ts';

export const studies: readonly Study<StudySize>[] = [
  flowhnTable,
  routing,
  ratio,
  placement,
  fusion,
  layouts,
  context,
  scaling,
];

export function findStudy(name: string): Study<StudySize> {
  const found = studies.find((study) => study.name === name);
  if (found) return found;
  const names = studies.map((study) => study.name);
  const nearest = nearestName(name, names);
  throw new BraidError(
    'usage',
    `There is no study '${name}'.${nearest === undefined ? '' : ` Did you mean '${nearest}'?`} Studies: ${names.join(', ')}.`,
  );
}
