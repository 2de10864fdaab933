export type { ExportOptions, ExportType } from './exportFolder.ts';
export { exportTypes, writeFolder } from './exportFolder.ts';
export type { Expressed } from './express.ts';
export { express } from './express.ts';
export { parseFields } from './fields.ts';
export type { OpenedModel } from './importFolder.ts';
export { IMPORTED_CONFIG, openFolder } from './importFolder.ts';
export { exportFamilies, families, findExportFamily } from './registry.ts';
