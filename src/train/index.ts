export { branchTimes } from './branchTimes.ts';
export type { Checkpoint, Persistent, Progress } from './checkpoint.ts';
export { CheckpointFolder } from './checkpoint.ts';
export type {
  DataConfig,
  FrozenRunConfig,
  FrozenTrainConfig,
  MachineDefaults,
  Precision,
  RunConfig,
  TrainConfig,
} from './config.ts';
export {
  asFrozen,
  dataConfigSchema,
  freeze,
  freezeTrain,
  parseRunConfig,
  runConfigSchema,
  tokensPerStep,
  trainConfigSchema,
} from './config.ts';
export type { Environment } from './environment.ts';
export { describeEnvironment } from './environment.ts';
export { makeFolder } from './folder.ts';
export { integerInput, numberInput } from './inputs.ts';
export type { LoopOptions, Outcome, Validation } from './loop.ts';
export { resume, trainRun } from './loop.ts';
export { needsMeasuredBalance, withRatio } from './measuredBalance.ts';
export type { MemoryPlan } from './memory.ts';
export { checkMemory, freeMemory, planMemory } from './memory.ts';
export type { StepMetrics } from './metrics.ts';
export { MetricsFile } from './metrics.ts';
export { planRun } from './planRun.ts';
export type { EvaluationConfig, ProgramConfig, TrainingPrograms } from './program.ts';
export { buildTraining, evaluationProgram } from './program.ts';
export type { Run } from './run.ts';
export { createRun, isRun, lockRun, openRun, requireNoRun, writeEnvironment } from './run.ts';
export type { Schedule } from './schedule.ts';
export { learningRate } from './schedule.ts';
export type { SettleOptions } from './settle.ts';
export { settle } from './settle.ts';
export { refreshShadows } from './shadows.ts';
export type { StepOptions, TrainerSetup } from './trainer.ts';
export { Trainer } from './trainer.ts';
