export type { CellResult, CurvePoint, Measuring } from './cell.ts';
export type { Amount, Cell, Equal, Rates, Row } from './design.ts';
export { equals } from './design.ts';
export {
  comparisonNote,
  comparisonPage,
  comparisonSections,
  comparisonTable,
  environmentSection,
  pairTable,
  speedChart,
} from './report.ts';
export type { ComparisonResult, RowResult } from './results.ts';
export type { ComparisonOptions, Forecast, OpenDesign } from './run.ts';
export { runComparison } from './run.ts';
export type { PreparedStudy, StudyResult, StudySettings } from './runStudy.ts';
export { prepareStudy, runStudy } from './runStudy.ts';
export { findStudy, studies } from './studies/registry.ts';
export type { Part, Study, StudySize } from './studies/study.ts';
export { studySizes } from './studies/study.ts';
export { studyMarkdown, studyPage } from './studyReport.ts';
export type { Difference, Estimate, Losses, Uncertainty } from './uncertainty.ts';
export { uncertainty } from './uncertainty.ts';
