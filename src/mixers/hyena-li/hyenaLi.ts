/**
 * Hyena-LI: a filter as long as the sequence, given by its modes (Ku et al. 2025); see README.md. Shapes: E inner
 * features, N modes.
 */
import { z } from 'zod';
import { parameter } from '../../nn/index.ts';
import { activation, modalConvolution, scale } from '../../ops/index.ts';
import { carriedDocument } from '../carriedDocument.ts';
import type { InnerFilter } from '../hyena.ts';
import { hyena, hyenaOptions, hyenaStates, innerWidth } from '../hyena.ts';
import { defineLayer, stateTensor } from '../layer.ts';

const options = z.strictObject({
  ...hyenaOptions,
  /** N */
  modes: z.int().positive().default(16),
  /** d ⊙ u beside the filter. */
  skip: z.boolean().default(true),
  /** Positions that are worked on together. */
  chunk: z.int().positive().default(64),
});

type Options = z.infer<typeof options>;

/** Rates at which modes fade at the start, per token: e^−1 · [0.01, 0.1], time constants of 27 to 272 tokens. */
const startingRates = { low: 0.01 / Math.E, high: 0.1 / Math.E };
const startingResidue = 0.1;

function filterOf(given: Options): InnerFilter {
  const { modes, chunk } = given;
  return {
    skip: given.skip ? { kind: 'constant', value: 0 } : undefined,
    states: (features, { batch }) => [
      { name: 'modes', kind: 'recurrent', shape: [batch, features, modes], dtype: 'float32' },
    ],
    apply(u, context, state) {
      const shape = [u.shape[u.shape.length - 1], modes];
      const residue = { kind: 'normal', deviation: startingResidue * modes ** -0.5 } as const;
      const logRates = parameter(context, 'logRates', shape, { kind: 'logUniform', ...startingRates }, false);
      const filtered = modalConvolution(
        {
          u,
          residues: parameter(context, 'residues', shape, residue, false),
          // Below zero whatever is learned: every mode fades.
          logPoles: scale(activation(logRates, { kind: 'exp' }), -1),
          documents: context.documents,
          state: state && stateTensor(state, 'modes'),
          document: carriedDocument(context, state),
        },
        { chunk },
      );
      return { z: filtered.z, state: { modes: filtered.state } };
    },
  };
}

export const hyenaLi = defineLayer<Options>({
  name: 'hyena-li',
  kind: 'mixer',
  summary: 'gated convolution with a long implicit filter of decaying modes (StripedHyena 2)',
  options,
  check: () => [],
  states: (given, shape) => hyenaStates(given, filterOf(given), shape),
  meaning: ({ chunk: _, ...given }, width) => ({ ...given, width: innerWidth(given, width) }),
  needsPositions: () => false,
  forward: (x, given, context, state) => hyena(x, given, filterOf(given), context, state),
  conformance: [
    { label: 'with a skip', width: 4, options: options.parse({ modes: 3, chunk: 4 }), lengths: [4, 5, 9] },
    {
      label: 'narrower inside, without a skip',
      width: 4,
      options: options.parse({ width: 3, modes: 2, skip: false, chunk: 3 }),
      lengths: [6],
    },
  ],
});
