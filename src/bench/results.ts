/**
 * The figures of a comparison, as `results.json` holds them. Every figure says what was counted: FLOPs are model FLOPs
 * (no recomputation, causal scores, head included), seconds are those of training steps, optimizer included.
 */

export interface Peak {
  readonly precision: string;
  /** Best measured matrix product, FLOP/s, and where it was measured. */
  readonly flopsPerSecond: number;
  readonly source: string;
  readonly sizes: readonly {
    readonly m: number;
    readonly k: number;
    readonly n: number;
    readonly flopsPerSecond: number;
  }[];
}

/** One point of a training curve; `seconds` counts training steps only, not validation. */
export interface CurvePoint {
  readonly step: number;
  readonly tokens: number;
  readonly flops: number;
  readonly seconds: number;
  readonly loss: number;
}

export interface ModelResult {
  readonly name: string;
  readonly pattern: string;
  readonly strategies: readonly string[];
  readonly parameters: { readonly total: number; readonly nonEmbedding: number };
  readonly flopsPerToken: { readonly forward: number; readonly training: number };
  readonly tokensSeen: number;
  readonly flopsSeen: number;
  readonly steps: number;
  readonly trainingSeconds: number;
  /** Tokens of a step over the median step time. */
  readonly tokensPerSecond: number;
  /** Median, and the quarter points around it, of the step time in seconds. */
  readonly stepSeconds: { readonly median: number; readonly low: number; readonly high: number };
  /** Model FLOPs per second of the median step, and over the measured peak. */
  readonly flopsPerSecond: number;
  readonly mfu: number;
  /** Busy time of the lanes over (lanes × the slowest lane); null when lanes are off. */
  readonly laneBalance: number | null;
  /** Largest resident memory while this model trained, in bytes; null where the system does not tell. */
  readonly peakMemoryBytes: number | null;
  /** Mean loss in nats per token over the last tenth of the steps. */
  readonly trainingLoss: number;
  readonly validationBitsPerByte: number;
  readonly curve: readonly CurvePoint[];
}

export interface Comparison {
  readonly version: 1;
  readonly created: string;
  readonly equal: 'tokens' | 'flops';
  readonly seed: number;
  readonly batch: number;
  readonly length: number;
  readonly data: { readonly name: string; readonly trainingBytes: number; readonly validationBytes: number };
  readonly environment: Readonly<Record<string, unknown>>;
  readonly peak: Peak;
  readonly models: readonly ModelResult[];
}
