/**
 * The computation as data: a list of calls (nodes) in an order in which they can run. Built by functions on symbolic
 * tensors; transformed by passes that return a new graph (`rewrite`).
 */
import { BraidError } from './errors.ts';
import type { Attributes, Operation } from './operation.ts';
import type { DType, Role, Shape, Tensor, TensorType } from './tensor.ts';
import { describeType, isPersistent, sameShape } from './tensor.ts';

/** A lane groups the nodes of one branch; lanes of one group may run at the same time. */
export interface Lane {
  readonly group: string;
  readonly index: number;
}

export type Direction = 'forward' | 'backward' | 'update';

export interface Node {
  readonly id: number;
  readonly operation: Operation;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly outputs: readonly Tensor[];
  readonly attributes: Attributes;
  /** Path of the layer that made the call, such as `blocks.0.attention`. */
  readonly path: string;
  readonly direction: Direction;
  readonly lane?: Lane;
}

/** Where new nodes are placed. */
export interface Location {
  readonly path: string;
  readonly direction: Direction;
  readonly lane?: Lane | undefined;
}

export class Graph {
  readonly nodes: Node[] = [];
  readonly outputs = new Map<string, Tensor>();
  /** New values of persistent tensors: source → the tensor that is stored in its buffer when the program runs. */
  readonly assignments = new Map<Tensor, Tensor>();
  readonly #sources = new Map<string, Tensor>();
  #location: Location = { path: '', direction: 'forward' };
  #nextTensor = 0;

  get location(): Location {
    return this.#location;
  }

  /** All parameters, inputs, states and other tensors that no node computes. */
  get sources(): readonly Tensor[] {
    return [...this.#sources.values()];
  }

  /** Runs `build` with `name` appended to the layer path. */
  scope<T>(name: string, build: () => T): T {
    const { path } = this.#location;
    return this.at({ ...this.#location, path: path === '' ? name : `${path}.${name}` }, build);
  }

  /** Runs `build` with all new nodes in one lane. Lanes do not nest: the outermost one holds. */
  lane<T>(lane: Lane, build: () => T): T {
    return this.#location.lane ? build() : this.at({ ...this.#location, lane }, build);
  }

  /** Runs `build` at a given location; used by passes that derive nodes from others. */
  at<T>(location: Location, build: () => T): T {
    const before = this.#location;
    this.#location = location;
    try {
      return build();
    } finally {
      this.#location = before;
    }
  }

  /**
   * A tensor that comes from outside. Asking twice for the same role and name gives the same tensor, so that layers can
   * share parameters; a different type is an error.
   */
  source(role: Exclude<Role, 'temporary'>, name: string, shape: Shape, dtype: DType = 'float32'): Tensor {
    const key = `${role}/${name}`;
    const known = this.#sources.get(key);
    if (known) {
      if (!sameShape(known.shape, shape) || known.dtype !== dtype) {
        throw new BraidError(
          'graph',
          `${role} '${name}' is declared twice with different types: ${describeType(known)} and ` +
            `${describeType({ shape, dtype })}. Give one of them another name.`,
        );
      }
      return known;
    }
    const tensor: Tensor = { id: this.#nextTensor++, graph: this, role, name, shape, dtype };
    this.#sources.set(key, tensor);
    return tensor;
  }

  findSource(role: Role, name: string): Tensor | undefined {
    return this.#sources.get(`${role}/${name}`);
  }

  /** Names a result that the host reads after a run. */
  output(name: string, tensor: Tensor): void {
    if (this.outputs.has(name)) throw new BraidError('graph', `Output '${name}' is declared twice.`);
    this.outputs.set(name, tensor);
  }

  /**
   * Declares that `value` becomes the new content of a persistent source. The compiler lets the call that computes it
   * write straight into that buffer where its `inPlace` rule and the order of reads allow, and copies otherwise.
   */
  assign(source: Tensor, value: Tensor): void {
    if (!isPersistent(source.role) || source.producer) {
      throw new BraidError(
        'graph',
        `Only persistent sources can be assigned; '${source.name}' is ${source.role}.`,
      );
    }
    if (!sameShape(source.shape, value.shape) || source.dtype !== value.dtype) {
      throw new BraidError(
        'graph',
        `${source.role} '${source.name}' is ${describeType(source)} and cannot hold ${describeType(value)}.`,
      );
    }
    if (this.assignments.has(source)) throw new BraidError('graph', `'${source.name}' is assigned twice.`);
    this.assignments.set(source, value);
  }

  /** Appends a call and returns its results. */
  apply<A extends Attributes>(
    operation: Operation<A>,
    inputs: readonly (Tensor | undefined)[],
    attributes: A,
  ): Tensor[] {
    const { path, direction, lane } = this.#location;
    const fail = (message: string): never => {
      const given = inputs.map((input) => (input ? describeType(input) : 'none')).join(', ');
      const where = path === '' ? '' : ` in ${path}`;
      throw new BraidError('shape', `${operation.name}${where}: ${message} Given: ${given}.`);
    };
    for (const input of inputs) {
      if (input && input.graph !== this) fail('an input belongs to another graph.');
    }
    const types: TensorType[] = operation.infer(inputs, attributes, fail);
    const outputs: Tensor[] = [];
    const node: Node = {
      id: this.nodes.length,
      operation: operation as unknown as Operation,
      inputs: [...inputs],
      outputs,
      attributes,
      path,
      direction,
      ...(lane ? { lane } : {}),
    };
    types.forEach((type, output) => {
      outputs.push({
        id: this.#nextTensor++,
        graph: this,
        role: 'temporary',
        name: '',
        shape: type.shape,
        dtype: type.dtype,
        producer: { node, output },
      });
    });
    this.nodes.push(node);
    return outputs;
  }
}

/** The graph that a call belongs to: that of its first given input. */
export function graphOf(inputs: readonly (Tensor | undefined)[]): Graph {
  for (const input of inputs) if (input) return input.graph;
  throw new BraidError('graph', 'A call needs at least one tensor as input.');
}

export interface Rewritten {
  readonly graph: Graph;
  /** The tensor of the new graph that stands for one of the old graph. */
  map(tensor: Tensor): Tensor;
}

/**
 * What a rewriting rule sees: the old node, its inputs in the new graph, that graph, and the tensor of the new graph for any
 * tensor that was computed before. `copyNode` copies the node unchanged.
 */
export type Rule = (
  node: Node,
  inputs: readonly (Tensor | undefined)[],
  graph: Graph,
  map: (tensor: Tensor) => Tensor,
) => readonly Tensor[];

/** Copies a node into the graph at its own location. */
export function copyNode(
  node: Node,
  inputs: readonly (Tensor | undefined)[],
  graph: Graph,
): readonly Tensor[] {
  return graph.at(node, () => graph.apply(node.operation, inputs, node.attributes));
}

/**
 * Builds a new graph by applying a rule to every node in order. Sources and outputs carry over. Nodes for which `keep`
 * says no are left out: nobody else may read them.
 */
export function rewrite(
  graph: Graph,
  rule: Rule = copyNode,
  keep: (node: Node) => boolean = () => true,
): Rewritten {
  const target = new Graph();
  const mapped = new Map<Tensor, Tensor>();
  const map = (tensor: Tensor): Tensor => {
    const found = mapped.get(tensor);
    if (!found)
      throw new BraidError('graph', `A pass lost the tensor ${describeType(tensor)} (id ${tensor.id}).`);
    return found;
  };
  for (const source of graph.sources) {
    if (source.role === 'temporary') continue;
    mapped.set(source, target.source(source.role, source.name, source.shape, source.dtype));
  }
  for (const node of graph.nodes) {
    if (!keep(node)) continue;
    const inputs = node.inputs.map((input) => (input ? map(input) : undefined));
    const outputs = rule(node, inputs, target, map);
    node.outputs.forEach((output, index) => {
      const result = outputs[index];
      if (result) mapped.set(output, result);
    });
  }
  for (const [name, tensor] of graph.outputs) target.output(name, map(tensor));
  for (const [source, value] of graph.assignments) target.assign(map(source), map(value));
  return { graph: target, map };
}
