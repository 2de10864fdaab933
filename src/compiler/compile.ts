import type { Graph, Node, Tensor } from '../graph/index.ts';
import { BraidError, byteSize, describeType, sameShape } from '../graph/index.ts';
import { lifetimeOf, peakLiveBytes, planArena } from './arena.ts';
import { copyAssignments, copyPersistentViews } from './copies.ts';
import { eliminateDead } from './eliminateDead.ts';
import type { Program, ProgramBuffer, ProgramCall, ScheduleItem } from './program.ts';
import { PROGRAM_VERSION } from './program.ts';
import type { Step } from './schedule.ts';
import { placesOf, scheduleCalls } from './schedule.ts';
import type { Storage, StoragePlan } from './storage.ts';
import { planStorage } from './storage.ts';

export interface CompileOptions {
  readonly name: string;
  /** Threads that will run the program; workspaces and the shares of lanes depend on it. */
  readonly threads: number;
  /** Run the lanes of a group at the same time. Needs a thread for each; otherwise they run one after the other. */
  readonly lanes?: boolean;
}

/**
 * Makes a graph ready to run: dead code goes, calls are put in order, new values of persistent tensors are written in
 * place or copied, and every buffer gets its place in one arena.
 */
export function compile(graph: Graph, { name, threads, lanes = false }: CompileOptions): Program {
  const live = copyPersistentViews(eliminateDead(graph).graph);
  copyAssignments(live, placesOf(scheduleCalls(live, threads, lanes)));
  const steps = scheduleCalls(live, threads, lanes);
  const storage = planStorage(live, steps, threads);

  const blocks = storage.arena.map(({ bytes, touches }) => ({ bytes, ...lifetimeOf(touches) }));
  const { offsets, bytes: arenaBytes } = planArena(blocks);
  const buffers = new Buffers(storage, new Map(storage.arena.map((one, index) => [one, offsets[index]])));

  const inputs: Record<string, number> = {};
  for (const source of live.sources) if (source.role === 'input') inputs[source.name] = buffers.of(source);
  const calls: ProgramCall[] = [];
  const schedule = steps.map((step) => toItem(step, (node) => calls.push(toCall(node, buffers)) - 1));
  const outputs: Record<string, number> = {};
  for (const [output, tensor] of live.outputs) outputs[output] = buffers.of(tensor);

  return {
    version: PROGRAM_VERSION,
    name,
    threads,
    arenaBytes,
    peakLiveBytes: peakLiveBytes(blocks),
    buffers: buffers.list,
    calls,
    schedule,
    inputs,
    outputs,
  };
}

function toItem({ group, lanes }: Step, add: (node: Node) => number): ScheduleItem {
  if (group === undefined) return { call: add(lanes[0].nodes[0]) };
  return { group, lanes: lanes.map(({ threads, nodes }) => ({ threads, calls: nodes.map(add) })) };
}

function toCall(node: Node, buffers: Buffers): ProgramCall {
  const { executed, bytes } = node.operation.cost(node.inputs, node.outputs, node.attributes);
  return {
    operation: node.operation.name,
    inputs: node.inputs.map((input) => (input ? buffers.of(input) : null)),
    outputs: node.outputs.map((output) => buffers.find(output)),
    attributes: node.attributes,
    workspace: buffers.workspaceOf(node),
    path: node.path,
    flops: executed,
    bytes,
  };
}

/** The buffers of a program: one for each type in which a storage is seen. */
class Buffers {
  readonly list: ProgramBuffer[] = [];
  readonly #plan: StoragePlan;
  readonly #offsets: ReadonlyMap<Storage, number>;
  readonly #known = new Map<Storage, number[]>();

  constructor(plan: StoragePlan, offsets: ReadonlyMap<Storage, number>) {
    this.#plan = plan;
    this.#offsets = offsets;
  }

  /** The buffer of a tensor, or null when nobody reads it. */
  find(tensor: Tensor): number | null {
    const storage = this.#plan.of(tensor);
    if (!storage) return null;
    const known = this.#known.get(storage) ?? [];
    this.#known.set(storage, known);
    const { shape, dtype } = tensor;
    const same = known.find(
      (index) => this.list[index].dtype === dtype && sameShape(this.list[index].shape, shape),
    );
    if (same !== undefined) return same;
    const role = storage.source?.role ?? 'temporary';
    const bytes = byteSize(tensor);
    const index = this.#add(storage, { role, name: storage.source?.name ?? '', dtype, shape, bytes });
    known.push(index);
    return index;
  }

  of(tensor: Tensor): number {
    const index = this.find(tensor);
    if (index === null) {
      throw new BraidError('graph', `A pass lost the storage of ${describeType(tensor)} (id ${tensor.id}).`);
    }
    return index;
  }

  workspaceOf(node: Node): number | null {
    const storage = this.#plan.workspaceOf(node);
    if (!storage) return null;
    const count = Math.ceil(storage.bytes / 4);
    return this.#add(storage, {
      role: 'workspace',
      name: '',
      dtype: 'float32',
      shape: [count],
      bytes: 4 * count,
    });
  }

  #add(storage: Storage, buffer: ProgramBuffer): number {
    const offset = this.#offsets.get(storage);
    return this.list.push(offset === undefined ? buffer : { ...buffer, offset }) - 1;
  }
}
