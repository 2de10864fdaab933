import { describe, expect, it } from 'vitest';
import { elementCount } from '../graph/index.ts';
import { initialize } from '../nn/index.ts';
import type { RegisteredLayer } from './layer.ts';
import { mamba1 } from './mamba1/mamba1.ts';
import { mamba2 } from './mamba2/mamba2.ts';
import { parameterSpecs } from './testing.ts';

const layers: [RegisteredLayer, string, object, number][] = [
  [mamba1, 'dt.bias', {}, 768],
  [mamba2, 'dtBias', { headDim: 4 }, 768],
];

describe('time steps at the start', () => {
  it.each(layers)(
    'of $name lie between 0.001 and 0.1, as many in each half by logarithm',
    (layer, name, options, width) => {
      const spec = parameterSpecs(layer, options, width).find((one) => one.name === name);
      if (!spec) throw new Error(`no ${name}`);
      const bias = new Float32Array(elementCount(spec.shape));
      initialize(spec, 7, bias);
      const steps = Array.from(bias, (value) => Math.log1p(Math.exp(value)));
      expect(Math.min(...steps)).toBeGreaterThan(1e-3 * (1 - 1e-4));
      expect(Math.max(...steps)).toBeLessThan(1e-1 * (1 + 1e-4));
      const short = steps.filter((step) => step < 1e-2).length / steps.length;
      expect(short).toBeGreaterThan(0.4);
      expect(short).toBeLessThan(0.6);
      expect(spec.decay).toBe(false);
    },
  );
});
