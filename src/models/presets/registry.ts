/** All presets by name. A family is one file and one line here. */
import { BraidError } from '../../graph/index.ts';
import { nearestName } from '../nearest.ts';
import { baePresets } from './bae.ts';
import { falconH1Presets } from './falconH1.ts';
import { flowhnPresets } from './flowhn.ts';
import { griffinPresets } from './griffin.ts';
import { hymbaPresets } from './hymba.ts';
import { jambaPresets } from './jamba.ts';
import { llamaPresets } from './llama.ts';
import { mamba1Presets } from './mamba1.ts';
import { mamba2Presets } from './mamba2.ts';
import { nemotronHPresets } from './nemotronH.ts';
import type { Preset } from './preset.ts';
import { sambaPresets } from './samba.ts';
import { shmPresets } from './shm.ts';
import { stripedHyenaPresets } from './stripedHyena.ts';
import { zamba2Presets } from './zamba2.ts';

/** All presets, by family, in the order in which they are listed to people. */
export const presets: readonly Preset[] = [
  ...llamaPresets,
  ...mamba1Presets,
  ...mamba2Presets,
  ...shmPresets,
  ...jambaPresets,
  ...hymbaPresets,
  ...flowhnPresets,
  ...falconH1Presets,
  ...sambaPresets,
  ...griffinPresets,
  ...nemotronHPresets,
  ...zamba2Presets,
  ...stripedHyenaPresets,
  ...baePresets,
];

/** The preset of that name. An unknown one is a `BraidError('config')` with the nearest name. */
export function findPreset(name: string): Preset {
  const found = presets.find((preset) => preset.name === name);
  if (found) return found;
  const nearest = nearestName(
    name,
    presets.map((preset) => preset.name),
  );
  const families = [...new Set(presets.map(({ family }) => family))].join(', ');
  throw new BraidError(
    'config',
    `There is no preset '${name}'.${nearest === undefined ? '' : ` Did you mean '${nearest}'?`} A preset is FAMILY-SIZE; ` +
      `families: ${families}. 'braid presets' lists all of them.`,
  );
}
