/** Routing strategies by name. */
import { BraidError } from '../../graph/index.ts';
import { chunks } from './chunks.ts';
import type { RoutingStrategy } from './strategy.ts';
import {
  alternatingEqual,
  flopAware,
  flopAwareCirculation,
  flopAwareCirculationCode,
  flopAwareCode,
} from './windows.ts';

/** All strategies, in the order in which they are listed to people. */
export const routingStrategies: readonly RoutingStrategy[] = [
  alternatingEqual,
  flopAware,
  flopAwareCirculation,
  flopAwareCode,
  flopAwareCirculationCode,
  chunks,
];

export function findStrategy(name: string): RoutingStrategy {
  const found = routingStrategies.find((strategy) => strategy.name === name);
  if (found) return found;
  const known = routingStrategies.map((strategy) => strategy.name).join(', ');
  throw new BraidError('config', `There is no routing strategy '${name}'. Known: ${known}.`);
}

/** The names of the strategies that let states be carried, for messages: `'chunks'`. */
export function stableStrategies(): string {
  return routingStrategies
    .filter(({ prefixStable }) => prefixStable)
    .map(({ name }) => `'${name}'`)
    .join(' or ');
}
