export type { Range, Routing, RoutingRequest, RoutingStrategy } from './strategy.ts';
export { routingSchema } from './strategy.ts';
