/** All operations: importing this file registers them. The contract of each is in docs/operations.md. */
export * from './activation.ts';
export type { ActivationKind } from './activations.ts';
export * from './channels.ts';
export * from './crossEntropy.ts';
export * from './elementwise.ts';
export * from './embedding.ts';
export * from './matmul.ts';
export * from './norm.ts';
export * from './optimizer.ts';
export { roundToBfloat16 } from './plain.ts';
export * from './positions.ts';
export * from './reduce.ts';
export type { FloatType } from './require.ts';
export * from './rope.ts';
export * from './tensor.ts';
