/**
 * What a layer hands over to later ones by name, such as keys and values that several layers share. Names are chosen in
 * the configuration, so that code between the two layers knows neither.
 */
import type { Lane, Tensor } from '../graph/index.ts';
import { BraidError } from '../graph/index.ts';
import type { LayerContext } from './context.ts';

export type HandedOver = { readonly [name: string]: Tensor | number | boolean | undefined };

interface Offer {
  readonly value: HandedOver;
  readonly path: string;
  readonly lane: Lane | undefined;
}

/** The offers of layers that see the same positions. */
export class Handover {
  readonly #offers = new Map<string, Offer>();

  set(name: string, offer: Offer): void {
    this.#offers.set(name, offer);
  }

  get(name: string): Offer | undefined {
    return this.#offers.get(name);
  }

  get names(): readonly string[] {
    return [...this.#offers.keys()];
  }
}

/** Leaves something for later layers; a later offer of the same name takes its place. */
export function offer({ graph, handover }: LayerContext, name: string, value: HandedOver): void {
  const { path, lane } = graph.location;
  handover?.set(name, { value, path, lane });
}

/**
 * What the last layer before offered under a name.
 * @throws BraidError('config') when none did, or when it stands in another branch of the same block: branches run at the
 * same time.
 */
export function take({ graph, handover }: LayerContext, name: string): HandedOver {
  const { path, lane } = graph.location;
  const found = handover?.get(name);
  if (!found) {
    const known = handover?.names.map((other) => `'${other}'`).join(', ') || 'nothing';
    throw new BraidError(
      'config',
      `${path} takes '${name}', which no earlier layer for the same positions offers; offered: ${known}.`,
    );
  }
  if (lane && found.lane && lane.group === found.lane.group && lane.index !== found.lane.index) {
    throw new BraidError(
      'config',
      `${path} takes '${name}' from ${found.path}, which is another branch of the same block. Take it in a later block.`,
    );
  }
  return found.value;
}
