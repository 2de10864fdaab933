export type {
  CallTime,
  Executor,
  LaneStatistics,
  LoadedProgram,
  NonFinite,
  RunOptions,
  RunStatistics,
  Store,
  StoredTensor,
  TensorData,
} from './executor.ts';
export type { ReferenceOptions } from './reference.ts';
export { createReferenceExecutor } from './reference.ts';
