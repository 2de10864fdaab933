/**
 * The document of a state. Rows that are packed carry, beside windows and recurrent states, the number of the document
 * that these belong to, once per layer.
 */
import type { Tensor } from '../graph/index.ts';
import type { LayerContext } from '../nn/index.ts';
import type { LayerState, StateShape, StateSpec } from './layer.ts';
import { stateTensor } from './layer.ts';

/** `document` [B] int32, where rows are packed. */
export function documentStates({ batch, documents }: StateShape): readonly StateSpec[] {
  return documents ? [{ name: 'document', kind: 'recurrent', shape: [batch], dtype: 'int32' }] : [];
}

/** The document that the given state belongs to. */
export function carriedDocument(context: LayerContext, state: LayerState | undefined): Tensor | undefined {
  return state && context.documents ? stateTensor(state, 'document') : undefined;
}
