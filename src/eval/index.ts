export type { Perplexity, PerplexityOptions } from './perplexity.ts';
export { PerplexityMeter } from './perplexity.ts';
