/**
 * What the letters of a genome weigh in the loss, as StripedHyena 2 was trained (savanna, `to_upper: normalized_weighted`):
 * targets are upper case; a lower-case letter, which marks a repeat, weighs a tenth of any other; control characters weigh
 * nothing: `@` and `#`, which join windows and contigs, and tags between two `|`. The weights are scaled so that their mean
 * over all that weighs anything is 1. The inputs keep their case. The end of a sequence, a separator here, weighs like a letter.
 */

const lowerCaseWeight = 0.1;
const bar = '|'.charCodeAt(0);
const controls = new Set([...'@#'].map((character) => character.charCodeAt(0)));
/** The letters of IUPAC for nucleotides: what else stands before the first bar of a row is a tag that began earlier. */
const nucleotides = new Set(
  [...'ACGTUNRYSWKMBDHVacgtunryswkmbdhv-'].map((character) => character.charCodeAt(0)),
);
const firstLower = 'a'.charCodeAt(0);
const lastLower = 'z'.charCodeAt(0);
const toUpper = 32;
/** Bytes have lower numbers; the separator of the byte tokenizer is this one. */
const separator = 256;

/**
 * Makes targets upper case and writes the weights of their losses, which sum to `sum`: of all targets of the batch, or to 0 if
 * none weighs anything.
 *
 * @param targets [rows, length] bytes; −1 where there is none
 * @param weights [rows, length]
 */
export function weighNucleotides(
  targets: Int32Array,
  length: number,
  weights: Float32Array | Float64Array,
  sum: number,
): void {
  let total = 0;
  for (let begin = 0; begin < targets.length; begin += length) {
    let inTag = startsInTag(targets, begin, begin + length);
    for (let at = begin; at < begin + length; at++) {
      const target = targets[at];
      if (target === separator) inTag = false;
      const control = inTag || target === bar || controls.has(target) || target < 0;
      if (target === bar) inTag = !inTag;
      const lower = target >= firstLower && target <= lastLower;
      if (lower) targets[at] = target - toUpper;
      weights[at] = control ? 0 : lower ? lowerCaseWeight : 1;
      total += weights[at];
    }
  }
  if (total === 0) return;
  const scale = sum / total;
  for (let at = 0; at < targets.length; at++) weights[at] *= scale;
}

/** Whether a row begins inside of a tag: something that is no sequence stands before its first bar. */
function startsInTag(targets: Int32Array, begin: number, end: number): boolean {
  let foreign = false;
  for (let at = begin; at < end; at++) {
    const target = targets[at];
    if (target === bar) return foreign;
    if (target === separator) return false;
    foreign ||= !nucleotides.has(target) && !controls.has(target);
  }
  return false;
}
