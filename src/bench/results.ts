/** The measured peak of matrix products, which MFU is divided by. */
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
