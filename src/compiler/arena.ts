/**
 * Where blocks of memory lie in one arena. Blocks whose lifetimes may overlap never share a byte; all others may.
 * Lifetimes are intervals of the partial order of calls: what different lanes of a step do may happen in any order.
 */
import type { Place } from './schedule.ts';

export const ALIGNMENT = 64;

/** The life of a block: from the first call that touches it to the last calls that do. */
export interface Lifetime {
  readonly start: Place;
  readonly endStep: number;
  /** The lane of the last step that touches the block, and the last call in it; −1 when several lanes do. */
  readonly endLane: number;
  readonly endIndex: number;
}

export interface Block extends Lifetime {
  readonly bytes: number;
}

export interface ArenaPlan {
  /** Place of each block, in the order given. */
  readonly offsets: readonly number[];
  readonly bytes: number;
}

/** The lifetime that spans the given calls, of which `touches[0]` comes first. */
export function lifetimeOf(touches: readonly Place[]): Lifetime {
  const [start] = touches;
  let [endStep, endLane, endIndex] = [start.step, start.lane, start.index];
  for (const { step, lane, index } of touches) {
    if (step > endStep) [endStep, endLane, endIndex] = [step, lane, index];
    else if (step === endStep && lane !== endLane) endLane = -1;
    else if (step === endStep) endIndex = Math.max(endIndex, index);
  }
  return { start, endStep, endLane, endIndex };
}

/** Whether a life has surely ended before a call begins. */
function isOver({ endStep, endLane, endIndex }: Lifetime, at: Place): boolean {
  return endStep < at.step || (endStep === at.step && endLane === at.lane && endIndex < at.index);
}

export function mayOverlap(a: Lifetime, b: Lifetime): boolean {
  return !isOver(a, b.start) && !isOver(b, a.start);
}

/**
 * Plans the arena. Finding the smallest is NP-hard; best fit comes close when large blocks are placed first, and long-lived
 * first where many blocks have the same size, so these orders are tried and the smallest result is taken.
 */
export function planArena(blocks: readonly Block[]): ArenaPlan {
  const span = (block: Block): number => block.endStep - block.start.step;
  const orders: ((a: Block, b: Block) => number)[] = [
    (a, b) => b.bytes - a.bytes || a.start.step - b.start.step,
    (a, b) => span(b) - span(a) || b.bytes - a.bytes,
    (a, b) => b.bytes * (span(b) + 1) - a.bytes * (span(a) + 1),
  ];
  const bound = peakLiveBytes(blocks);
  let best: ArenaPlan | undefined;
  for (const order of orders) {
    const plan = bestFit(blocks, order);
    if (!best || plan.bytes < best.bytes) best = plan;
    if (best.bytes <= bound * CLOSE_ENOUGH) break;
  }
  return best ?? { offsets: [], bytes: 0 };
}

/** A plan this close to the bound is not worth another try. */
const CLOSE_ENOUGH = 1.01;

/** Puts one block after the other into the smallest hole that its contemporaries leave. */
function bestFit(blocks: readonly Block[], order: (a: Block, b: Block) => number): ArenaPlan {
  const offsets = new Map<Block, number>();
  // In order of their offsets.
  const placed: { readonly block: Block; readonly offset: number; readonly end: number }[] = [];
  let bytes = 0;
  for (const block of [...blocks].sort(order)) {
    const size = aligned(block.bytes);
    let top = 0;
    let hole = -1;
    let holeSize = Number.POSITIVE_INFINITY;
    for (const other of placed) {
      if (!mayOverlap(block, other.block)) continue;
      const room = other.offset - top;
      if (room >= size && room < holeSize) [hole, holeSize] = [top, room];
      if (other.end > top) top = other.end;
    }
    const offset = hole >= 0 ? hole : top;
    const end = offset + size;
    const index = placed.findIndex((other) => other.offset > offset);
    placed.splice(index < 0 ? placed.length : index, 0, { block, offset, end });
    offsets.set(block, offset);
    bytes = Math.max(bytes, end);
  }
  return { offsets: blocks.map((block) => offsets.get(block) ?? 0), bytes };
}

export function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/**
 * The largest sum of bytes alive at the same time: no plan can be smaller. In a step with lanes every combination of their
 * moments can occur, so the peaks of the lanes add up.
 */
export function peakLiveBytes(blocks: readonly Block[]): number {
  const whole = new Sweep();
  const lanes = new Map<number, Map<number, Sweep>>();
  const part = (step: number, lane: number, from: number, to: number, bytes: number): void => {
    const ofStep = lanes.get(step) ?? new Map<number, Sweep>();
    lanes.set(step, ofStep);
    const sweep = ofStep.get(lane) ?? new Sweep();
    ofStep.set(lane, sweep);
    sweep.add(from, to, bytes);
  };
  for (const { start, endStep, endLane, endIndex, bytes } of blocks) {
    if (start.step === endStep && endLane >= 0) {
      part(endStep, endLane, start.index, endIndex, bytes);
      continue;
    }
    part(start.step, start.lane, start.index, Number.MAX_SAFE_INTEGER, bytes);
    if (endLane >= 0) part(endStep, endLane, 0, endIndex, bytes);
    whole.add(start.step + 1, endLane >= 0 ? endStep - 1 : endStep, bytes);
  }
  const base = whole.levels();
  let peak = base.peak;
  for (const [step, ofStep] of lanes) {
    let sum = base.at(step);
    for (const sweep of ofStep.values()) sum += sweep.levels().peak;
    peak = Math.max(peak, sum);
  }
  return peak;
}

/** Sums intervals [from, to] over a line. */
class Sweep {
  readonly #events: { readonly at: number; readonly bytes: number }[] = [];

  add(from: number, to: number, bytes: number): void {
    if (to < from) return;
    this.#events.push({ at: from, bytes }, { at: to + 1, bytes: -bytes });
  }

  levels(): { readonly peak: number; at(moment: number): number } {
    // Ends before starts: an interval that ends at t − 1 does not meet one that starts at t.
    const events = this.#events.toSorted((a, b) => a.at - b.at || a.bytes - b.bytes);
    const moments: number[] = [];
    const sums: number[] = [];
    let sum = 0;
    let peak = 0;
    for (const { at, bytes } of events) {
      sum += bytes;
      peak = Math.max(peak, sum);
      moments.push(at);
      sums.push(sum);
    }
    return { peak, at: (moment) => levelAt(moments, sums, moment) };
  }
}

/** The sum after the last event at or before a moment. */
function levelAt(moments: readonly number[], sums: readonly number[], moment: number): number {
  let [low, high] = [0, moments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moments[middle] <= moment) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? 0 : sums[low - 1];
}
