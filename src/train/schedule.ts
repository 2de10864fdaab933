/**
 * The learning rate over a run: a straight line up to the peak during warm-up, then half a cosine down to a fraction of
 * it (Loshchilov and Hutter 2017, "SGDR", without restarts).
 */
export interface Schedule {
  readonly peak: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Steps of warm-up; 0 begins at the peak. */
  readonly warmup: number;
  /** What is left at the last step, as a fraction of the peak. */
  readonly floor: number;
}

/** The rate of a step, counted from 1. */
export function learningRate({ peak, steps, warmup, floor }: Schedule, step: number): number {
  if (step <= warmup) return (peak * step) / warmup;
  if (steps <= warmup) return peak;
  const progress = Math.min(1, (step - warmup) / (steps - warmup));
  return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
