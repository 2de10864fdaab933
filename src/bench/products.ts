/** The matrix products that a program consists of, one program for each kind of them. */
import type { Program, ProgramCall } from '../compiler/index.ts';
import { compile } from '../compiler/index.ts';
import { type DType, Graph } from '../graph/index.ts';
import { matmul } from '../ops/index.ts';

/** y [m, n] = a · b, with either operand stored transposed; `dtype` of both operands, y is float32. */
export interface Product {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly dtype: DType;
}

/** Kinds of products of two operands of one type, leading axes taken together, the most FLOPs first. */
export function productsOf(program: Program): Product[] {
  const found = new Map<string, { product: Product; flops: number }>();
  for (const call of program.calls) {
    const product = asProduct(program, call);
    if (!product) continue;
    const name = nameOf(product);
    const known = found.get(name) ?? { product, flops: 0 };
    found.set(name, { product, flops: known.flops + call.flops });
  }
  return [...found.values()].sort((a, b) => b.flops - a.flops).map(({ product }) => product);
}

/** `4096×768×2048 NT bfloat16`: m × k × n, N plain and T transposed operands. */
export function nameOf({ m, k, n, transposeA, transposeB, dtype }: Product): string {
  return `${m}×${k}×${n} ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'} ${dtype}`;
}

function asProduct({ buffers }: Program, call: ProgramCall): Product | undefined {
  const [first, second] = call.inputs;
  if (call.operation !== 'matmul' || typeof first !== 'number' || typeof second !== 'number')
    return undefined;
  const [a, b] = [buffers[first], buffers[second]];
  if (a.dtype !== b.dtype) return undefined;
  const transposeA = call.attributes.transposeA === true;
  const transposeB = call.attributes.transposeB === true;
  const columns = a.shape[a.shape.length - 1];
  const rows = a.shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const [m, k] = transposeA ? [columns, rows] : [rows, columns];
  const n = transposeB ? b.shape[0] : b.shape[b.shape.length - 1];
  return { m, k, n, transposeA, transposeB, dtype: a.dtype };
}

export function productProgram(product: Product, threads: number): Program {
  const { m, k, n, transposeA, transposeB, dtype } = product;
  const graph = new Graph();
  const a = graph.source('input', 'a', transposeA ? [k, m] : [m, k], dtype);
  const b = graph.source('input', 'b', transposeB ? [n, k] : [k, n], dtype);
  graph.output('y', matmul(a, b, { transposeA, transposeB }));
  return compile(graph, { name: nameOf(product), threads });
}
