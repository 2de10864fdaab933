/**
 * The order of calls. A program is a list of steps; a step is one call on all threads, or lanes that run at the same
 * time on their share of them. Places in that partial order are what lifetimes are made of.
 */
import type { Graph, Node } from '../graph/index.ts';
import { BraidError } from '../graph/index.ts';
import { shareThreads } from './shareThreads.ts';

/** Calls in order, on a number of threads. */
export interface ScheduledLane {
  readonly threads: number;
  readonly nodes: readonly Node[];
}

/** One lane with one call, or a group of lanes. */
export interface Step {
  readonly group?: string;
  readonly lanes: readonly ScheduledLane[];
}

/** Where a call stands: calls of one step and lane are ordered, calls of different lanes of a step are not. */
export interface Place {
  readonly step: number;
  readonly lane: number;
  readonly index: number;
}

/** Whether one call has surely ended before the other begins. */
export function isBefore(a: Place, b: Place): boolean {
  return a.step < b.step || (a.step === b.step && a.lane === b.lane && a.index < b.index);
}

/**
 * Orders the calls of a graph. Without lanes this is the order in which they were built. With lanes, the calls of a group
 * become one step where there is a thread for each lane; aliases are no calls and do not appear.
 *
 * @throws BraidError('graph') when a group cannot run as one step: its lanes read from each other, or wait for a call
 * outside that waits for them.
 */
export function scheduleCalls(graph: Graph, threads: number, lanes: boolean): readonly Step[] {
  const calls = graph.nodes.filter((node) => !node.operation.alias);
  const single = (node: Node): Step => ({ lanes: [{ threads, nodes: [node] }] });
  const groups = lanes ? parallelGroups(calls, threads) : new Map<string, readonly (readonly Node[])[]>();
  if (groups.size === 0) return calls.map(single);

  const units: Unit[] = [];
  const grouped = new Map<string, Unit>();
  for (const node of calls) {
    const group = node.lane && groups.has(node.lane.group) ? node.lane.group : undefined;
    const known = group === undefined ? undefined : grouped.get(group);
    if (known) known.nodes.push(node);
    else {
      const unit: Unit = { group, nodes: [node], waitsFor: 0, followers: new Set() };
      units.push(unit);
      if (group !== undefined) grouped.set(group, unit);
    }
  }
  return inOrder(units).map(({ group, nodes }) => {
    const members = group === undefined ? undefined : groups.get(group);
    if (group === undefined || !members) return single(nodes[0]);
    const shares = shareThreads(members, threads);
    return { group, lanes: members.map((lane, index) => ({ threads: shares[index], nodes: lane })) };
  });
}

export function placesOf(steps: readonly Step[]): ReadonlyMap<Node, Place> {
  const places = new Map<Node, Place>();
  steps.forEach(({ lanes }, step) => {
    lanes.forEach(({ nodes }, lane) => {
      nodes.forEach((node, index) => {
        places.set(node, { step, lane, index });
      });
    });
  });
  return places;
}

/** Groups with at least two lanes and at most as many as there are threads, lane by lane. */
function parallelGroups(
  calls: readonly Node[],
  threads: number,
): ReadonlyMap<string, readonly (readonly Node[])[]> {
  const groups = new Map<string, Map<number, Node[]>>();
  for (const node of calls) {
    if (!node.lane) continue;
    const lanes = groups.get(node.lane.group) ?? new Map<number, Node[]>();
    groups.set(node.lane.group, lanes);
    const lane = lanes.get(node.lane.index);
    if (lane) lane.push(node);
    else lanes.set(node.lane.index, [node]);
  }
  const parallel = new Map<string, readonly (readonly Node[])[]>();
  for (const [group, lanes] of groups) {
    if (lanes.size < 2 || lanes.size > threads) continue;
    const ordered = [...lanes].sort(([a], [b]) => a - b);
    parallel.set(
      group,
      ordered.map(([, nodes]) => nodes),
    );
  }
  return parallel;
}

/** What stays together: a call, or all lanes of a group. */
interface Unit {
  readonly group: string | undefined;
  readonly nodes: Node[];
  readonly followers: Set<Unit>;
  waitsFor: number;
}

/** Dependencies first; among units that could run, the one that was built first (units come in that order). */
function inOrder(units: readonly Unit[]): readonly Unit[] {
  connect(units);
  const rank = new Map(units.map((unit, index) => [unit, index]));
  const rankOf = (unit: Unit): number => rank.get(unit) ?? 0;
  const ready = units.filter((unit) => unit.waitsFor === 0);
  const ordered: Unit[] = [];
  while (ready.length > 0) {
    let first = 0;
    for (let i = 1; i < ready.length; i++) if (rankOf(ready[i]) < rankOf(ready[first])) first = i;
    const [unit] = ready.splice(first, 1);
    ordered.push(unit);
    for (const follower of unit.followers) if (--follower.waitsFor === 0) ready.push(follower);
  }
  const stuck = units.find((unit) => unit.group !== undefined && unit.waitsFor > 0);
  if (stuck) {
    throw new BraidError(
      'graph',
      `The lanes of '${stuck.group}' wait for a call outside of them that waits for one of them, so they cannot run side ` +
        `by side. Give branches that are used more than once a group of their own.`,
    );
  }
  return ordered;
}

function connect(units: readonly Unit[]): void {
  const unitOf = new Map<Node, Unit>();
  for (const unit of units) for (const node of unit.nodes) unitOf.set(node, unit);
  for (const unit of units) {
    for (const node of unit.nodes) {
      for (const producer of producersOf(node)) {
        const before = unitOf.get(producer);
        if (!before) continue;
        if (before === unit) {
          requireSameLane(producer, node);
        } else if (!before.followers.has(unit)) {
          before.followers.add(unit);
          unit.waitsFor++;
        }
      }
    }
  }
}

/** The calls whose results a call reads, seen through aliases. */
function producersOf(node: Node): readonly Node[] {
  const producers: Node[] = [];
  for (const input of node.inputs) {
    let producer = input?.producer?.node;
    while (producer?.operation.alias) producer = producer.inputs[0]?.producer?.node;
    if (producer) producers.push(producer);
  }
  return producers;
}

function requireSameLane(producer: Node, reader: Node): void {
  if (producer.lane?.index === reader.lane?.index) return;
  throw new BraidError(
    'graph',
    `${reader.operation.name} in ${reader.path} (lane ${reader.lane?.index}) reads what ${producer.operation.name} in ` +
      `${producer.path} (lane ${producer.lane?.index}) computes; lanes of one group must not depend on each other.`,
  );
}
