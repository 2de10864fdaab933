export { chunkPattern } from './chunks.ts';
export { findStrategy, routingStrategies, stableStrategies } from './registry.ts';
export type { Finding, Range, Routing, RoutingIssue, RoutingRequest, RoutingStrategy } from './strategy.ts';
export { routingSchema } from './strategy.ts';
export { shareOfTokens } from './windows.ts';
