export type { GenerateOptions } from './generate.ts';
export { decodeStream, encodePrompt, generate } from './generate.ts';
export type { LoadedModel } from './load.ts';
export { loadModel } from './load.ts';
export type { Sampler, SamplingOptions } from './sampler.ts';
export { createSampler, defaultSampling } from './sampler.ts';
export type { GeneratingModel, Logits, Session, SessionOptions } from './session.ts';
export { createSession } from './session.ts';
