/**
 * Which tensors share memory. A storage is one stretch of bytes: the persistent buffer of a source, an input of the host,
 * a temporary with its aliases and what is computed in place of it, or the scratch memory of a call.
 */
import type { Graph, Node, Tensor } from '../graph/index.ts';
import { byteSize, isPersistent } from '../graph/index.ts';
import { directAssignments, rootOf } from './copies.ts';
import type { Place, Step } from './schedule.ts';
import { isBefore, placesOf } from './schedule.ts';

export interface Storage {
  readonly bytes: number;
  /** Calls that write or read it, the first writer first. */
  readonly touches: Place[];
  /** The parameter, input or other source that it holds. */
  readonly source?: Tensor;
}

export interface StoragePlan {
  /** All storages that need a place in the arena. */
  readonly arena: readonly Storage[];
  /** Where the values of a tensor are; undefined when nobody reads them. */
  of(tensor: Tensor): Storage | undefined;
  workspaceOf(node: Node): Storage | undefined;
}

export function planStorage(graph: Graph, steps: readonly Step[], threads: number): StoragePlan {
  const places = placesOf(steps);
  const direct = directAssignments(graph, places);
  const before: Place = { step: -1, lane: 0, index: 0 };
  const after: Place = { step: steps.length, lane: 0, index: 0 };
  const reads = readPlaces(graph, places, after);

  const arena: Storage[] = [];
  const storages = new Map<Tensor, Storage>();
  const workspaces = new Map<Node, Storage>();
  const allocate = (bytes: number, touches: Place[], source?: Tensor): Storage => {
    const storage = source ? { bytes, touches, source } : { bytes, touches };
    if (!source || !isPersistent(source.role)) arena.push(storage);
    return storage;
  };

  for (const source of graph.sources) {
    // The host may write an input once for many runs: nothing else may lie there at any time.
    storages.set(source, allocate(byteSize(source), [before, after], source));
  }
  for (const { lanes } of steps) {
    for (const { nodes } of lanes) {
      for (const node of nodes) {
        const place = places.get(node) ?? before;
        for (const output of node.outputs) {
          const later = reads.get(output) ?? [];
          const target = direct.get(output);
          const persistent = target && storages.get(target);
          if (persistent) {
            storages.set(output, persistent);
          } else if (later.length > 0) {
            const replaced = replaceable(output, node, place, storages);
            replaced?.touches.push(...later);
            storages.set(output, replaced ?? allocate(byteSize(output), [place, ...later]));
          }
        }
        const scratch = node.operation.workspace?.(node.inputs, node.outputs, node.attributes, threads) ?? 0;
        if (scratch > 0) workspaces.set(node, allocate(scratch, [place]));
      }
    }
  }
  return {
    arena,
    of: (tensor) => storages.get(rootOf(tensor)),
    workspaceOf: (node) => workspaces.get(node),
  };
}

/** Where each tensor is read, through its aliases too; results for the host are read after everything. */
function readPlaces(
  graph: Graph,
  places: ReadonlyMap<Node, Place>,
  after: Place,
): ReadonlyMap<Tensor, readonly Place[]> {
  const reads = new Map<Tensor, Place[]>();
  const note = (tensor: Tensor, place: Place): void => {
    const root = rootOf(tensor);
    const known = reads.get(root);
    if (known) known.push(place);
    else reads.set(root, [place]);
  };
  for (const [node, place] of places) {
    for (const input of node.inputs) if (input) note(input, place);
  }
  for (const tensor of graph.outputs.values()) note(tensor, after);
  return reads;
}

/**
 * The storage of an input over which an output may be computed: the operation allows it, nobody else holds it or reads it
 * afterwards, and the call itself reads it nowhere else.
 */
function replaceable(
  output: Tensor,
  node: Node,
  place: Place,
  storages: ReadonlyMap<Tensor, Storage>,
): Storage | undefined {
  const outputIndex = output.producer?.output;
  const inputStorages = node.inputs.map((input) => input && storages.get(rootOf(input)));
  for (const [o, i] of node.operation.inPlace ?? []) {
    const storage = inputStorages[i];
    if (o !== outputIndex || !storage || storage.source || node.inputs[i]?.dtype !== output.dtype) continue;
    const readOnce = inputStorages.filter((other) => other === storage).length === 1;
    const dies = storage.touches.every((touch) => touch === place || isBefore(touch, place));
    if (readOnce && dies && storage.bytes === byteSize(output)) return storage;
  }
  return undefined;
}
