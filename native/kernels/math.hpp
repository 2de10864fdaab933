// Elementary functions on sixteen floats. Errors are the largest found against double precision over the whole range
// (native/test measures them). NaN in gives NaN out.
#pragma once
#include "vector.hpp"

namespace braid::BRAID_VARIANT {

constexpr float kLog2e = 1.44269504088896341f;
constexpr float kLn2 = 0.693147180559945309f;

// eʳ − 1 for |r| ≤ ln 2 / 2: the polynomial of Cephes' expf.
inline f32x16 expm1Near(const f32x16& r) {
  f32x16 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return p * (r * r) + r;
}

inline f32x16 expNear(const f32x16& r) { return expm1Near(r) + 1.0f; }

// eˣ, 1 ulp. Below −87.3 the result is 0, above 88.7 infinity.
// x = n·ln 2 + r; where there is no instruction for it, the scale 2ⁿ is applied in two steps, so that n = 128 works.
#if defined(__AVX512F__)
inline f32x16 exp(const f32x16& x) {
  const __mmask16 nonzero = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.33654f), _CMP_NLT_UQ);
  const f32x16 limited = _mm512_min_ps(_mm512_set1_ps(89.0f), x);  // NaN passes; what is above becomes infinity
  const f32x16 magic = splat(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer
  const f32x16 n = (limited * 1.44269504088896341f + magic) - magic;
  const f32x16 r = limited - n * 0.693359375f + n * 2.12194440e-4f;
  return _mm512_maskz_scalef_ps(nonzero, expNear(r), n);
}
#else
inline f32x16 exp(const f32x16& x) {
  const f32x16 low = splat(-87.33654f), high = splat(88.72284f);
  const f32x16 clamped = select(x < low, low, select(x > high, high, x));
  const f32x16 magic = splat(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer
  const f32x16 n = (clamped * 1.44269504088896341f + magic) - magic;
  const f32x16 r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
  const f32x16 p = expNear(r);
  const i32x16 exponent = toInt(n);
  const i32x16 half = exponent >> 1;
  const f32x16 scaled = p * asFloat((half + 127) << 23) * asFloat((exponent - half + 127) << 23);
  return select(x < low, zero(), select(x > high, splat(__builtin_inff()), scaled));
}
#endif

// eˣ − 1, 4 ulp, also close to 0.
inline f32x16 expm1(const f32x16& x) { return select(abs(x) < 0.34657359f, expm1Near(x), exp(x) - 1.0f); }

// 2ˣ for x ≤ 127, 1.2 ulp. Below −126 the result is 0. Cheaper than eˣ: the reduction is exact and takes one step.
inline f32x16 exp2(const f32x16& x) {
  const f32x16 magic = splat(12583039.0f);  // 1.5 · 2²³ + 127: the low bits of the sum are the biased exponent
  const f32x16 sum = x + magic;
  const f32x16 r = x - (sum - magic);
  f32x16 p = r * 1.54531634e-4f + 1.33908633e-3f;  // (2ʳ − 1) / r at the Chebyshev nodes of [−½, ½]
  p = p * r + 9.61808302e-3f;
  p = p * r + 5.55035695e-2f;
  p = p * r + 2.40226507e-1f;
  p = p * r + 6.93147182e-1f;
  p = p * r + 1.0f;
  return select(x < -126.0f, zero(), p * asFloat(asInt(sum) << 23));
}

// 2^(a b) for −2¹⁷ ≤ a b ≤ 127, 1.2 ulp of the exact product where AVX-512 looks up the root (below −2¹⁷, to which no
// product of a scan comes, 0 or NaN); elsewhere 1.2 ulp of the rounded one. Below −126 the result is 0.
// a b = n + r with n a multiple of 1/32: the root 2^(n mod 1) is one of 32, and 2ʳ needs a polynomial of degree two.
#if defined(__AVX512F__)
struct Roots {
  alignas(64) float low[kWidth] = {1.0f,        1.02189715f, 1.04427378f, 1.0671404f,  1.09050773f, 1.11438674f,
                                   1.13878863f, 1.16372486f, 1.18920712f, 1.21524736f, 1.24185781f, 1.26905096f,
                                   1.29683955f, 1.32523664f, 1.35425555f, 1.38390988f};
  alignas(64) float high[kWidth] = {1.41421356f, 1.44518081f, 1.47682615f, 1.50916443f, 1.54221083f, 1.57598085f,
                                    1.61049033f, 1.64575548f, 1.68179283f, 1.7186193f,  1.75625216f, 1.79470908f,
                                    1.83400809f, 1.87416763f, 1.91520656f, 1.95714412f};
};
inline constexpr Roots kRoots{};

inline f32x16 exp2Product(const f32x16& a, const f32x16& b) {
  const f32x16 magic = splat(393216.0f);  // 1.5 · 2¹⁸: adding it rounds to 1/32, and the low five bits tell the root
  const f32x16 sum = _mm512_fmadd_ps(a, b, magic);
  const f32x16 n = sum - magic;
  const f32x16 r = _mm512_fmsub_ps(a, b, n);
  const f32x16 root = _mm512_permutex2var_ps(load(kRoots.low), (__m512i)sum, load(kRoots.high));
  const f32x16 power = _mm512_scalef_ps(root, n);  // root · 2^⌊n⌋
  return power + power * (r * (r * 0.240226507f + 0.693157344f));
}
#else
inline f32x16 exp2Product(const f32x16& a, const f32x16& b) { return exp2(a * b); }
#endif

// 1 / x for 2⁻¹²⁶ ≤ x ≤ 2¹²⁶, 1 ulp. Where there is an approximation to start from this takes a fraction of a division's time.
inline f32x16 reciprocal(const f32x16& x) {
#if defined(__AVX512F__)
  const f32x16 y = (f32x16)_mm512_rcp14_ps((__m512)x);
  return y + y * (1.0f - x * y);
#else
  return 1.0f / x;
#endif
}

// Natural logarithm, 2 ulp, for normal numbers; 0 gives −∞, a negative number NaN, ∞ gives ∞.
// Cephes' logf: mantissa in [√½, √2), polynomial of degree 9.
inline f32x16 log(const f32x16& x) {
  const i32x16 bits = asInt(x);
  f32x16 e = toFloat((bits >> 23) - 126);
  f32x16 m = asFloat((bits & 0x007fffff) | 0x3f000000);  // [½, 1)
  const i32x16 small = m < splat(0.707106781186547524f);
  e = e - select(small, splat(1.0f), zero());
  m = m - 1.0f + select(small, m, zero());
  const f32x16 z = m * m;
  f32x16 p = m * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  f32x16 y = m * z * p;
  y = y - e * 2.12194440e-4f - z * 0.5f;
  y = m + y + e * 0.693359375f;
  const f32x16 infinity = splat(__builtin_inff());
  y = select(x == 0.0f, -infinity, y);
  y = select(x == infinity, infinity, y);
  return select(x >= 0.0f, y, splat(__builtin_nanf("")));
}

// log(1 + x) for 0 ≤ x ≤ 1, 3 ulp: 2 artanh s with s = x / (x + 2), which is at most 1/3, as an odd polynomial.
inline f32x16 log1p(const f32x16& x) {
  const f32x16 s = x * reciprocal(x + 2.0f), twice = s + s;
  const f32x16 z = s * s;
  f32x16 p = z * 0.140122294f + 0.139995705f;
  p = p * z + 0.200108495f;
  p = p * z + 0.333332066f;
  return twice + twice * (z * p);
}

// 1 / (1 + e⁻ˣ), 3 ulp.
inline f32x16 sigmoid(const f32x16& x) { return 1.0f / (exp(-x) + 1.0f); }

// x · sigmoid(x), 3 ulp; 0 below −88.
inline f32x16 silu(const f32x16& x) { return x / (exp(-x) + 1.0f); }

// The same as sigmoid, 3 ulp, by a reciprocal: for loops that wait for arithmetic and not for memory.
inline f32x16 logistic(const f32x16& x) {
  const f32x16 e = exp(-abs(x)), inverse = reciprocal(e + 1.0f);
  return select(x > 0.0f, inverse, e * inverse);
}

// log(1 + eˣ), 4 ulp.
inline f32x16 softplus(const f32x16& x) {
  return select(x > 0.0f, x, select(x == x, zero(), x)) + log1p(exp(-abs(x)));
}
// The same and its slope, sigmoid(x), 3 ulp, from one exponential.
inline f32x16 softplus(const f32x16& x, f32x16& slope) {
  const f32x16 e = exp(-abs(x)), inverse = reciprocal(e + 1.0f);
  slope = select(x > 0.0f, inverse, e * inverse);
  return select(x > 0.0f, x, select(x == x, zero(), x)) + log1p(e);
}

// 3 ulp. Cephes' odd polynomial below 0.625, 1 − 2 / (e²ˣ + 1) above.
inline f32x16 tanh(const f32x16& x) {
  const f32x16 a = abs(x);
  const f32x16 z = x * x;
  f32x16 p = z * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const f32x16 near = p * z * x + x;
  const f32x16 far = 1.0f - 2.0f / (exp(a * 2.0f) + 1.0f);
  const f32x16 signedFar = asFloat(asInt(far) | (asInt(x) & static_cast<int32_t>(0x80000000)));
  return select(a < 0.625f, near, signedFar);
}

// ½(1 + erf x), 2 ulp above 0 and 20 down to −5. Polynomials fitted to erf x / x in x² below 1, and to erfc x · e^(x²) in
// 1 / (1 + x / 2) from there to 6.
inline f32x16 halfErfPlusOne(const f32x16& x) {
  const f32x16 a = abs(x);
  const f32x16 z = x * x;
  f32x16 p = z * 7.889119297033176e-05f - 0.0008020841050893068f;
  p = p * z + 0.005189535208046436f;
  p = p * z - 0.026854444295167923f;
  p = p * z + 0.11283600330352783f;
  p = p * z - 0.3761262595653534f;
  p = p * z + 1.1283791065216064f;
  const f32x16 near = 0.5f + 0.5f * x * p;
  const f32x16 t = 1.0f / (1.0f + 0.5f * a);
  f32x16 q = t * 0.10658051818609238f - 0.4277746081352234f;
  q = q * t + 0.5006894469261169f;
  q = q * t - 0.054095953702926636f;
  q = q * t + 0.32457658648490906f;
  q = q * t + 0.26614490151405334f;
  q = q * t + 0.28392744064331055f;
  q = q * t - 9.05695342225954e-05f;
  const f32x16 rest = 0.5f * q * exp(-z);
  return select(a < 1.0f, near, select(x < 0.0f, rest, 1.0f - rest));
}

}  // namespace braid::BRAID_VARIANT
