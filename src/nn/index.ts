export type { LayerContext } from './context.ts';
export { fixedTensor, parameter } from './context.ts';
export type { LinearOptions } from './layers.ts';
export { linear, norm, outputProjection, scaled } from './layers.ts';
export type { Initializer, ParameterSpec } from './parameters.ts';
export { initialize, ParameterList } from './parameters.ts';
export type { RandomStream } from './random.ts';
export { randomStream } from './random.ts';
