/**
 * Reverse-mode differentiation as a graph transform. Every operation knows its own gradient as a graph of operations;
 * this pass walks the calls backwards, hands each the gradients of its results, and adds up what several readers of one
 * tensor contribute. Nothing that does not lead from the wanted tensors to the loss is differentiated.
 */
import type { Graph, Lane, Location, Node, Rewritten, Tensor } from '../graph/index.ts';
import { BraidError, describeType, elementCount, rewrite, sameShape } from '../graph/index.ts';
import { add, fill } from '../ops/index.ts';

export interface Differentiated extends Rewritten {
  /**
   * The gradient of the loss for each wanted tensor (of the given graph), as a float32 tensor of the new graph. A tensor on
   * which the loss does not depend has none.
   */
  readonly gradients: ReadonlyMap<Tensor, Tensor>;
}

/**
 * Returns a copy of the graph with the gradients of `loss` (one float32 number) added.
 *
 * New calls carry the path of the call they derive from with `.backward`, the direction `backward`, and its lane in the
 * group with `.backward`.
 *
 * @throws BraidError('graph') when the loss is not one float32 number or an operation on the way has no gradient.
 */
export function differentiate(graph: Graph, loss: Tensor, withRespectTo: readonly Tensor[]): Differentiated {
  if (elementCount(loss.shape) !== 1 || loss.dtype !== 'float32') {
    throw new BraidError(
      'graph',
      `The loss must be one float32 number; it is ${describeType(loss)}. Reduce it with 'sum' first.`,
    );
  }
  const { graph: target, map } = rewrite(graph);
  const calls = [...target.nodes];
  const wanted = withRespectTo.map(map);
  const needed = dependents(calls, wanted);
  const contributions = new Contributions();

  const seed = map(loss);
  contributions.add(
    seed,
    target.at(backwardOf(seed.producer?.node), () => fill(seed, seed.shape, 1)),
  );

  for (const node of calls.reverse()) {
    if (!node.inputs.some((input) => input && needed.has(input))) continue;
    const received = node.outputs.map((output) => contributions.sum(output));
    if (received.every((gradient) => gradient === undefined)) continue;
    const derived = target.at(backwardOf(node), () => gradientsOf(node, received));
    node.inputs.forEach((input, index) => {
      const gradient = derived[index];
      if (input && gradient && needed.has(input)) contributions.add(input, gradient);
    });
  }

  const gradients = new Map<Tensor, Tensor>();
  for (const tensor of withRespectTo) {
    const gradient = contributions.sum(map(tensor));
    if (gradient) gradients.set(tensor, gradient);
  }
  return { graph: target, map, gradients };
}

/** The wanted tensors and all that are computed from them. */
function dependents(calls: readonly Node[], wanted: readonly Tensor[]): ReadonlySet<Tensor> {
  const found = new Set(wanted);
  for (const node of calls) {
    if (!node.inputs.some((input) => input && found.has(input))) continue;
    for (const output of node.outputs) if (output.dtype !== 'int32') found.add(output);
  }
  return found;
}

function gradientsOf(node: Node, received: readonly (Tensor | undefined)[]): readonly (Tensor | undefined)[] {
  const where = node.path === '' ? '' : ` in ${node.path}`;
  if (!node.operation.gradient) {
    throw new BraidError(
      'graph',
      `${node.operation.name}${where} has no gradient, and the loss depends on a trained tensor through it.`,
    );
  }
  const derived = node.operation.gradient(node, received);
  node.inputs.forEach((input, index) => {
    const gradient = derived[index];
    if (input && gradient && !sameShape(gradient.shape, input.shape)) {
      throw new BraidError(
        'graph',
        `The gradient of ${node.operation.name}${where} for input ${index} is ${describeType(gradient)}; ` +
          `the input is ${describeType(input)}.`,
      );
    }
  });
  return derived;
}

/** Gradients on their way to a tensor, one for each reader met so far. */
class Contributions {
  readonly #pending = new Map<Tensor, Tensor[]>();

  add(tensor: Tensor, gradient: Tensor): void {
    const pending = this.#pending.get(tensor);
    if (pending) pending.push(gradient);
    else this.#pending.set(tensor, [gradient]);
  }

  sum(tensor: Tensor): Tensor | undefined {
    const pending = this.#pending.get(tensor);
    if (!pending || pending.length < 2) return pending?.[0];
    const parts = byLane(pending).map((gradients) => total(gradients, laneLocation(gradients)));
    const all = total(parts, sumLocation(tensor, parts));
    this.#pending.set(tensor, [all]);
    return all;
  }
}

function total([first, ...others]: readonly Tensor[], location: Location): Tensor {
  if (others.length === 0) return first;
  return first.graph.at(location, () => others.reduce((sum, gradient) => add(sum, gradient), first));
}

/**
 * Gradients that one lane computes, together, and all others by themselves: a branch adds up its own, beside the other
 * branches, and one sum is left where branches meet.
 */
function byLane(gradients: readonly Tensor[]): readonly (readonly Tensor[])[] {
  const groups: Tensor[][] = [];
  for (const gradient of gradients) {
    const lane = gradient.producer?.node.lane;
    const group = lane && groups.find(([first]) => sameLane(first.producer?.node.lane, lane));
    if (group) group.push(gradient);
    else groups.push([gradient]);
  }
  return groups;
}

function laneLocation(gradients: readonly Tensor[]): Location {
  const last = gradients.at(-1)?.producer?.node;
  return { path: last?.path ?? 'backward', direction: 'backward', lane: last?.lane };
}

/** A sum belongs where its tensor was computed; that of a source belongs to the first layer that reads it. */
function sumLocation(tensor: Tensor, contributions: readonly Tensor[]): Location {
  if (tensor.producer) return backwardOf(tensor.producer.node);
  const origins = contributions.map((gradient) => gradient.producer?.node);
  const lane = origins[0]?.lane;
  return {
    path: origins.at(-1)?.path ?? 'backward',
    direction: 'backward',
    lane: origins.every((origin) => sameLane(origin?.lane, lane)) ? lane : undefined,
  };
}

function sameLane(a: Lane | undefined, b: Lane | undefined): boolean {
  return a?.group === b?.group && a?.index === b?.index;
}

function backwardOf(node: Node | undefined): Location {
  const path = node?.path ? `${node.path}.backward` : 'backward';
  const lane = node?.lane && { group: `${node.lane.group}.backward`, index: node.lane.index };
  return { path, direction: 'backward', lane };
}
