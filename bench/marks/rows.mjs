/**
 * The rows of the table in docs/performance.md: what is measured with which command, and how figures are read off the
 * reports. A row gives parts, each with a figure and the mark that it must reach.
 */
import { bandwidthShare, costRatio, find, layerRatio, mfu, overPeers, products } from './figures.mjs';

const sizes = ['train.batch=4', 'train.length=1024'];
const striped = 'bench/marks/stripedhyena-135m.yaml';
const atLeast = (label, figure, mark) => ({ label, figure, mark, reached: figure >= mark, sign: '≥' });
const overPeer = (report, model, mark, matches = () => true) => {
  const { ratio, name } = overPeers(report, model, matches);
  return atLeast(`${model} over ${name}`, ratio, mark);
};
const atMost = (label, figure, mark) => ({ label, figure, mark, reached: figure <= mark, sign: '≤' });

/**
 * Calls of `braid bench`. `{python}` is the first Python that was given, `{others}` are those after it; a call whose Python
 * was not given is left out. A quick run has its own rounds and samples.
 */
export const calls = {
  productsLow: [
    'operators',
    '--products',
    'llama-135m',
    '--products',
    'mamba1-135m',
    '--peers',
    '--set',
    ...sizes,
    'train.precision=bfloat16',
  ],
  productsFull: [
    'operators',
    '--products',
    'llama-135m',
    '--products',
    'mamba1-135m',
    '--peers',
    '--set',
    ...sizes,
    'train.precision=float32',
  ],
  train: [
    'train',
    'llama-135m',
    'flowhn-none-135m',
    'flowhn-fac-135m',
    'flowhn-chunks-135m',
    'mamba2-135m',
    'mamba1-135m',
    'hymba-135m',
    striped,
    '--rounds',
    '2',
    '--steps',
    '6',
    '--set',
    ...sizes,
  ],
  torch: ['peers', 'llama-135m', '{python}', '--rounds', '2', '--steps', '2', '--set', ...sizes],
  torchHybrids: [
    'peers',
    'flowhn-none-135m',
    'mamba1-135m',
    '{python}',
    '--precision',
    'bfloat16',
    '--rounds',
    '2',
    '--steps',
    '2',
    '--set',
    ...sizes,
  ],
  torchOthers: [
    'peers',
    'llama-135m',
    '{others}',
    '--rounds',
    '1',
    '--steps',
    '1',
    '--set',
    'train.batch=1',
    'train.length=1024',
  ],
  recurrence: [
    'peers',
    'mamba1-135m',
    '{python}',
    '--scan',
    'recurrence',
    '--precision',
    'float32',
    '--rounds',
    '2',
    '--steps',
    '2',
    '--set',
    'train.batch=1',
    'train.length=128',
  ],
  lanes: [
    'lanes',
    'flowhn-fac-135m',
    '--lengths',
    '512,1024,4096',
    '--rounds',
    '2',
    '--set',
    'train.batch=1',
    'model.routing.balance=time',
  ],
  hyena: [
    'operators',
    'hyena-se',
    'hyena-mr',
    'attention',
    'mamba2',
    '--lengths',
    '2048,8192',
    '--tokens',
    '8192',
    '--set',
    'model.attention.heads=12',
    'model.attention.kvHeads=12',
  ],
  long: [
    'operators',
    'mamba1',
    'mamba2',
    'hyena-se',
    'hyena-mr',
    'hyena-li',
    '--lengths',
    '1024,32768',
    '--tokens',
    '32768',
    '--rounds',
    '2',
    '--samples',
    '4',
  ],
  generate: [
    'generate',
    'llama-135m',
    'mamba1-135m',
    'flowhn-chunks-135m',
    '--batch',
    '1',
    '--positions',
    '1024',
  ],
  nano: ['train', 'llama-nano', '--steps', '10', '--profile', '--set', ...sizes],
  nanoShort: [
    'train',
    'llama-nano',
    '--steps',
    '300',
    '--profile',
    '--set',
    'train.batch=1',
    'train.length=64',
  ],
};

/** What is measured with a clock around a command, by run.mjs. */
export const timings = ['help', 'compile'];

/** What each takes in a full run, in minutes, measured on the machine of the table in docs/performance.md. */
export const minutes = {
  productsLow: 1,
  productsFull: 2,
  train: 7,
  torch: 4,
  torchHybrids: 6,
  torchOthers: 3,
  recurrence: 1.5,
  lanes: 4,
  hyena: 3,
  long: 3,
  generate: 1.5,
  nano: 0.5,
  nanoShort: 0.5,
  help: 0.1,
  compile: 1,
};

/** `reports` by the names above; a row whose reports are missing is not made. */
export const rows = [
  {
    name: 'built-in matrix product over oneDNN, sizes of the 135M models, operands as in training',
    needs: ['productsLow', 'productsFull'],
    parts: ({ productsLow, productsFull }) =>
      Object.entries({ BF16: productsLow, float32: productsFull }).flatMap(([name, report]) => {
        const { all, best, packed, worst, worstName } = products(report);
        const note =
          `${best.toFixed(2)} by best runs; worst ${worst.toFixed(2)} at ${worstName}; ` +
          `${packed.toFixed(2)} against packed weights`;
        return [atLeast(`${name} (${note})`, all, 0.85)];
      }),
  },
  {
    name: 'training MFU against the BF16 product of the same moment',
    needs: ['train'],
    percent: true,
    parts: ({ train }) =>
      Object.entries({
        'llama-135m': 0.6,
        'flowhn-none-135m': 0.55,
        'flowhn-fac-135m': 0.55,
        'flowhn-chunks-135m': 0.55,
        'mamba2-135m': 0.5,
        'mamba1-135m': 0.4,
        'hymba-135m': 0.5,
        'stripedhyena-135m': 0.5,
      }).map(([model, mark]) => atLeast(model, mfu(train, { model }), mark)),
  },
  {
    name: 'training tokens/s over PyTorch, llama-135m',
    needs: ['torch'],
    parts: ({ torch }) => [
      overPeer(torch, 'llama-135m', 3, (_, precision) => precision === 'float32'),
      overPeer(torch, 'llama-135m', 1.5, (_, precision) => precision === 'bfloat16'),
    ],
  },
  {
    name: 'the same over an older PyTorch, 1 × 1024',
    needs: ['torchOthers'],
    parts: ({ torchOthers }) => [
      overPeer(torchOthers, 'llama-135m', 3, (_, precision) => precision === 'float32'),
      overPeer(torchOthers, 'llama-135m', 1.5, (_, precision) => precision === 'bfloat16'),
    ],
  },
  {
    name: 'training tokens/s over the best PyTorch version',
    needs: ['torchHybrids'],
    parts: ({ torchHybrids }) => [
      overPeer(torchHybrids, 'flowhn-none-135m', 1.5),
      overPeer(torchHybrids, 'mamba1-135m', 2.5),
    ],
  },
  {
    name: 'mamba1-135m over the plain recurrence, 1 × 128',
    needs: ['recurrence'],
    parts: ({ recurrence }) => [overPeer(recurrence, 'mamba1-135m', 5)],
  },
  {
    name: 'routed over no-split FlowHN: tokens/s over the ratio of their FLOPs per token, which is that of their MFU',
    needs: ['train'],
    parts: ({ train }) =>
      ['flowhn-fac-135m', 'flowhn-chunks-135m'].map((model) =>
        atLeast(model, mfu(train, { model }) / mfu(train, { model: 'flowhn-none-135m' }), 0.95),
      ),
  },
  {
    name: 'lane balance with balance: time, flowhn-fac-135m, batch 1',
    needs: ['lanes'],
    parts: ({ lanes }) =>
      [512, 1024, 4096].map((length) => {
        const { laneBalance } = find(lanes, { lanes: 'on', length });
        const { groups, speedup } = lanes.lanes.find(({ subject }) => subject.length === length);
        const alone = Math.min(...groups.map(({ evenness }) => evenness)).toFixed(2);
        return atLeast(
          `${length} (${alone} and more without help; steps ${speedup.toFixed(2)} × as fast as without lanes)`,
          laneBalance ?? 0,
          0.95,
        );
      }),
  },
  {
    name: 'Hyena over attention (12 heads) and Mamba-2, forward and backward',
    needs: ['hyena'],
    parts: ({ hyena }) =>
      ['hyena-se', 'hyena-mr'].flatMap((layer) => [
        ...[2048, 8192].flatMap((length) =>
          ['attention', 'mamba2'].map((other) =>
            atLeast(
              `${layer} inner over ${other}, ${length}`,
              layerRatio(hyena, 'inner', other, layer, length),
              2,
            ),
          ),
        ),
        atLeast(
          `${layer} layer over attention, 8192`,
          layerRatio(hyena, 'whole', 'attention', layer, 8192),
          2,
        ),
        atLeast(`${layer} layer over mamba2, 8192`, layerRatio(hyena, 'whole', 'mamba2', layer, 8192), 1.4),
      ]),
  },
  {
    name: 'cost of a token at length 32768 over 1024, forward and backward',
    needs: ['long'],
    parts: ({ long }) =>
      ['mamba1', 'mamba2', 'hyena-se', 'hyena-mr', 'hyena-li'].map((layer) =>
        atMost(layer, costRatio(long, layer, 32768, 1024), 1.15),
      ),
  },
  {
    name: 'generation at batch 1, position 1024: share of the read bandwidth of the same moment',
    needs: ['generate'],
    percent: true,
    parts: ({ generate }) =>
      generate.measurements.map((one) => atLeast(one.subject.model, bandwidthShare(one), 0.7)),
  },
  {
    name: 'around the native call of a llama-nano step',
    needs: ['nano', 'nanoShort'],
    percent: true,
    parts: (reports) =>
      Object.entries({ nano: '4 × 1024', nanoShort: '1 × 64' }).map(([name, label]) => {
        const { hostSeconds, seconds: inside } = reports[name].measurements[0].profile;
        return atMost(label, hostSeconds / (hostSeconds + inside), 0.03);
      }),
  },
  {
    name: 'start of `braid --help`, seconds',
    needs: ['help'],
    parts: ({ help }) => [atMost('', help, 0.3)],
  },
  {
    name: 'native compile from nothing, kernels of this CPU, seconds',
    needs: ['compile'],
    parts: ({ compile }) => [atMost('', compile, 60)],
  },
  {
    name: 'arena over live tensors; (peak memory − 200 MB) over plan',
    needs: ['train'],
    parts: ({ train }) => {
      const worst = (pick) => train.measurements.reduce((a, b) => (pick(a) >= pick(b) ? a : b));
      const arena = ({ memory }) => memory.arenaOverLive;
      const peak = ({ memory }) => ((memory.peak ?? Number.NaN) - 200e6) / memory.planned;
      return [
        atMost(`arena, ${worst(arena).subject.model}`, arena(worst(arena)), 1.1),
        atMost(`peak, ${worst(peak).subject.model}`, peak(worst(peak)), 1.1),
      ];
    },
  },
];
