export type { Fusion, FusionType } from './fusion.ts';
export { fusionSchema } from './fusion.ts';
export { findFusion, fusions } from './registry.ts';
