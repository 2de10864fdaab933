/** The BF16 copies of parameters. AdamW writes them in training; after weights were made or loaded they are made here. */
import { compile } from '../compiler/index.ts';
import { Graph } from '../graph/index.ts';
import type { ParameterSpec } from '../nn/index.ts';
import { cast } from '../ops/index.ts';
import type { Executor, Store } from '../runtime/index.ts';

export async function refreshShadows(
  shadows: readonly Pick<ParameterSpec, 'name' | 'shape'>[],
  threads: number,
  executor: Executor,
  store: Store,
): Promise<void> {
  if (shadows.length === 0) return;
  const graph = new Graph();
  for (const { name, shape } of shadows) {
    const shadow = graph.source('shadow', name, shape, 'bfloat16');
    graph.assign(shadow, cast(graph.source('parameter', name, shape), 'bfloat16'));
  }
  const program = executor.load(compile(graph, { name: 'shadows', threads }), store);
  await program.run();
  program.dispose();
}
