/** The two 16-bit formats of stored weights, as their bits. */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The value of an IEEE 754 half-precision number given by its bits. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The bits of the half-precision number nearest to a float32 (ties to even); beyond 65504 that is an infinity. */
export function floatToHalf(value: number): number {
  float[0] = value;
  const pattern = bits[0];
  const sign = (pattern >>> 16) & 0x8000;
  const size = Math.abs(float[0]);
  if (Number.isNaN(size)) return sign | 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  // Below the smallest normal number the steps are all 2⁻²⁴.
  if (size < 2 ** -14) return sign | roundToEven(size * 2 ** 24);
  const exponent = ((pattern >>> 23) & 0xff) - 127;
  // A fraction that rounds up to 1024 carries into the exponent, as it should.
  return sign | (((exponent + 15) << 10) + roundToEven((size / 2 ** exponent - 1) * 1024));
}

/** The bits of the bfloat16 number nearest to a float32 (ties to even). */
export function floatToBfloat16(value: number): number {
  float[0] = value;
  const pattern = bits[0];
  if ((pattern & 0x7fffffff) > 0x7f800000) return (pattern >>> 16) | 0x40;
  return ((pattern + 0x7fff + ((pattern >>> 16) & 1)) >>> 16) & 0xffff;
}

/** All values here are exact in float64, and below 2²⁴. */
function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest > 0.5 ? below + 1 : below;
  return below + (below % 2);
}
