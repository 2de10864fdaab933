/** What a comparison and the processes that train its cells say to each other. */
import type { ErrorCode } from '../graph/errors.ts';
import type { ModelConfig } from '../models/index.ts';
import type { DataConfig, FrozenTrainConfig, StepMetrics } from '../train/index.ts';
import type { CellResult, Measuring } from './cell.ts';
import type { Cell } from './design.ts';

export type CellRequest =
  | {
      readonly kind: 'cell';
      readonly cell: Cell;
      readonly folder: string;
      readonly data: DataConfig;
      readonly measuring: Measuring;
    }
  /** Time steps of a model on random tokens. */
  | {
      readonly kind: 'time';
      readonly model: ModelConfig;
      readonly train: FrozenTrainConfig;
      readonly steps: number;
    }
  /** Save and end what is under way. */
  | { readonly kind: 'stop' };

export type CellReply =
  | { readonly kind: 'step'; readonly metrics: StepMetrics; readonly steps: number }
  | { readonly kind: 'warning'; readonly message: string }
  | { readonly kind: 'cell'; readonly result: CellResult }
  | { readonly kind: 'time'; readonly seconds: readonly number[] }
  /** `code` is that of a `BraidError`; absent for errors that nobody expected. */
  | { readonly kind: 'failure'; readonly code?: ErrorCode; readonly message: string };
