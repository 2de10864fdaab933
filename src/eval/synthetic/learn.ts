/** One run of a synthetic task: what it will cost, the training with its schedule, and when it ends. */
import type { Accuracy, Learner } from './learner.ts';

export interface LearnOptions {
  /** Most passes over the training rows. */
  readonly epochs: number;
  /** Peak of the learning rate; a cosine by epochs takes it to `lastRate`, as MAD and Zoology have it. */
  readonly rate: number;
  /** Steps in which the rate rises at first. */
  readonly warmup: number;
  /** Accuracy on the test that ends the run; above 1: none does. */
  readonly stop: number;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((progress: LearnProgress) => void) | undefined;
}

export interface LearnProgress {
  readonly step: number;
  readonly steps: number;
  /** Mean loss of the epoch so far, in nats per place asked. */
  readonly loss: number;
  /** Of the last test. */
  readonly accuracy: number | undefined;
}

export interface Learned extends Accuracy {
  /** Accuracy at other lengths than that of training, where it was asked for. */
  readonly lengths: Readonly<Record<string, number>>;
  readonly steps: number;
  readonly epochs: number;
  /** Whether the accuracy asked for ended the run. */
  readonly stopped: boolean;
  readonly seconds: number;
  /** Largest accuracy in any test of the run, and the macro accuracy of that test. */
  readonly best: { readonly accuracy: number; readonly macro: number };
}

/** The rate that the cosine ends at. */
const lastRate = 1e-6;

export interface LearnCost {
  /** Most steps. */
  readonly steps: number;
  /** Model FLOPs of training, tests not counted. */
  readonly flops: number;
  /** Measured on two steps, tests not counted. */
  readonly seconds: number;
}

/** What a run costs at most. Two steps are done and forgotten to find out how long one takes. */
export async function costOf(learner: Learner, epochs: number): Promise<LearnCost> {
  await learner.reset();
  await learner.step(0);
  const begin = performance.now();
  await learner.step(0);
  await learner.step(0);
  const perStep = (performance.now() - begin) / 2000;
  await learner.reset();
  const steps = epochs * learner.stepsPerEpoch;
  return { steps, flops: steps * learner.programs.flopsPerStep, seconds: steps * perStep };
}

/** Learns until the test is passed or the epochs are over; the test is taken after every epoch. */
export async function learn(learner: Learner, options: LearnOptions): Promise<Learned> {
  const { epochs, stop, signal, onStep } = options;
  const { stepsPerEpoch } = learner;
  const steps = epochs * stepsPerEpoch;
  const begin = performance.now();
  await learner.reset();
  let tested: Accuracy | undefined;
  let best: Accuracy | undefined;
  let step = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    let sum = 0;
    for (let inEpoch = 1; inEpoch <= stepsPerEpoch; inEpoch++) {
      signal?.throwIfAborted();
      sum += await learner.step(rateAt(options, step, epoch));
      step++;
      onStep?.({ step, steps, loss: sum / inEpoch, accuracy: tested?.accuracy });
    }
    tested = await learner.test();
    if (!best || tested.accuracy > best.accuracy) best = tested;
    if (tested.accuracy >= stop) break;
  }
  const last = tested ?? (await learner.test());
  const { accuracy, macro } = best ?? last;
  return {
    ...last,
    lengths: {},
    steps: step,
    epochs: step / stepsPerEpoch,
    stopped: last.accuracy >= stop,
    seconds: (performance.now() - begin) / 1000,
    best: { accuracy, macro },
  };
}

function rateAt({ rate, warmup, epochs }: LearnOptions, step: number, epoch: number): number {
  const cosine = 0.5 * (1 + Math.cos((Math.PI * epoch) / epochs));
  const scheduled = lastRate + (rate - lastRate) * cosine;
  return step < warmup ? (scheduled * (step + 1)) / warmup : scheduled;
}
