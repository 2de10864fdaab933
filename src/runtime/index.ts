export type { ExecutorName } from './create.ts';
export { createExecutor, executorNames } from './create.ts';
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
export type { NativeExecutor, NativeOptions, NativeReport } from './native.ts';
export { createNativeExecutor, inspectNative } from './native.ts';
export type { ReferenceOptions } from './reference.ts';
export { createReferenceExecutor } from './reference.ts';
