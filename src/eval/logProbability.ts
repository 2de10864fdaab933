/** log p of tokens from logits, in float64. */
import type { Likelihood } from './continuation.ts';

export interface TokenScore {
  readonly logProbability: number;
  /** Whether it is the most likely token; of equal ones, the first is. */
  readonly greedy: boolean;
}

/** The score of one token. `logits` holds all tokens of the vocabulary. */
export function scoreToken(logits: ArrayLike<number>, token: number): TokenScore {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += Math.exp(logits[i] - logits[best]);
  return { logProbability: logits[token] - logits[best] - Math.log(total), greedy: token === best };
}

export function combine(scores: readonly TokenScore[]): Likelihood {
  return {
    logLikelihood: scores.reduce((sum, { logProbability }) => sum + logProbability, 0),
    greedy: scores.every(({ greedy }) => greedy),
  };
}
