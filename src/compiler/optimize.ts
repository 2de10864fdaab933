import type { Graph } from '../graph/index.ts';
import { eliminateDead } from './eliminateDead.ts';
import { foldAdds } from './foldAdds.ts';
import { foldCasts } from './foldCasts.ts';
import { storeActivations } from './storeActivations.ts';

/**
 * The passes that every finished graph goes through before it is compiled: no dead code, sums in the products that feed them,
 * and after `lowerPrecision` (precision `bfloat16`) results stored in BF16 where nobody needs more.
 */
export function optimize(graph: Graph, precision: 'float32' | 'float64' | 'bfloat16'): Graph {
  const live = eliminateDead(foldAdds(eliminateDead(graph).graph).graph).graph;
  return precision === 'bfloat16' ? foldCasts(storeActivations(live).graph).graph : live;
}
