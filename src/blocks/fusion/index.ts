export type { Fusion, FusionType } from './fusion.ts';
export { fusionSchema } from './fusion.ts';
