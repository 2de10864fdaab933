// Sixteen floats at a time, on whatever the instruction set has: one 512-bit register, two of 256 or four of 128 bits.
// Kernels are written once against these names; nothing else in native/kernels may use intrinsics without a portable twin.
//
// f32x16, i32x16: + - * / and comparisons work by element, also with a scalar on either side; a comparison gives an i32x16
// of 0 and −1 for `select`. a * b + c becomes one fused multiply-add where the CPU has it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "../core/tensor.hpp"

namespace braid::BRAID_VARIANT {

constexpr int kWidth = 16;

typedef float f32x4 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint16_t u16x4 __attribute__((vector_size(8)));
#if defined(__AVX2__)
typedef float f32x8 __attribute__((vector_size(32)));
typedef int32_t i32x8 __attribute__((vector_size(32)));
#endif

// Two halves that act as one vector. Compilers keep the members in registers, which they do not do for a vector type
// wider than the machine's.
template <typename Half>
struct Wide {
  Half lo, hi;
};

#if defined(__AVX512F__)
typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
#elif defined(__AVX2__)
using f32x16 = Wide<f32x8>;
using i32x16 = Wide<i32x8>;
#else
using f32x16 = Wide<Wide<f32x4>>;
using i32x16 = Wide<Wide<i32x4>>;
#endif

#define BRAID_WIDE_OPERATOR(op)                                                                        \
  template <typename H>                                                                                \
  inline auto operator op(const Wide<H>& a, const Wide<H>& b) -> Wide<decltype(a.lo op b.lo)> {        \
    return {a.lo op b.lo, a.hi op b.hi};                                                               \
  }                                                                                                    \
  template <typename H>                                                                                \
  inline auto operator op(const Wide<H>& a, float b) -> Wide<decltype(a.lo op b)> {                    \
    return {a.lo op b, a.hi op b};                                                                     \
  }                                                                                                    \
  template <typename H>                                                                                \
  inline auto operator op(const Wide<H>& a, int32_t b) -> Wide<decltype(a.lo op b)> {                  \
    return {a.lo op b, a.hi op b};                                                                     \
  }                                                                                                    \
  template <typename H>                                                                                \
  inline auto operator op(float a, const Wide<H>& b) -> Wide<decltype(a op b.lo)> {                    \
    return {a op b.lo, a op b.hi};                                                                     \
  }
BRAID_WIDE_OPERATOR(+)
BRAID_WIDE_OPERATOR(-)
BRAID_WIDE_OPERATOR(*)
BRAID_WIDE_OPERATOR(/)
BRAID_WIDE_OPERATOR(&)
BRAID_WIDE_OPERATOR(|)
BRAID_WIDE_OPERATOR(^)
BRAID_WIDE_OPERATOR(<<)
BRAID_WIDE_OPERATOR(>>)
BRAID_WIDE_OPERATOR(<)
BRAID_WIDE_OPERATOR(<=)
BRAID_WIDE_OPERATOR(>)
BRAID_WIDE_OPERATOR(>=)
BRAID_WIDE_OPERATOR(==)
BRAID_WIDE_OPERATOR(!=)
#undef BRAID_WIDE_OPERATOR

template <typename H>
inline Wide<H> operator-(const Wide<H>& a) {
  return {-a.lo, -a.hi};
}
template <typename H, typename T>
inline Wide<H>& operator+=(Wide<H>& a, const T& b) {
  return a = a + b;
}
template <typename H, typename T>
inline Wide<H>& operator-=(Wide<H>& a, const T& b) {
  return a = a - b;
}
template <typename H, typename T>
inline Wide<H>& operator*=(Wide<H>& a, const T& b) {
  return a = a * b;
}

// Element by element: mask is the result of a comparison.
inline f32x4 select(i32x4 mask, f32x4 a, f32x4 b) { return (f32x4)((mask & (i32x4)a) | (~mask & (i32x4)b)); }
inline f32x4 asFloat(i32x4 v) { return (f32x4)v; }
inline i32x4 asInt(f32x4 v) { return (i32x4)v; }
inline f32x4 toFloat(i32x4 v) { return __builtin_convertvector(v, f32x4); }
inline i32x4 toInt(f32x4 v) { return __builtin_convertvector(v, i32x4); }
inline f32x4 squareRoot(f32x4 v) {
  return f32x4{__builtin_sqrtf(v[0]), __builtin_sqrtf(v[1]), __builtin_sqrtf(v[2]), __builtin_sqrtf(v[3])};
}

#if defined(__AVX2__)
inline f32x8 select(i32x8 mask, f32x8 a, f32x8 b) { return _mm256_blendv_ps(b, a, (f32x8)mask); }
inline f32x8 asFloat(i32x8 v) { return (f32x8)v; }
inline i32x8 asInt(f32x8 v) { return (i32x8)v; }
inline f32x8 toFloat(i32x8 v) { return _mm256_cvtepi32_ps((__m256i)v); }
inline i32x8 toInt(f32x8 v) { return (i32x8)_mm256_cvttps_epi32(v); }
inline f32x8 squareRoot(f32x8 v) { return _mm256_sqrt_ps(v); }
#endif

#if defined(__AVX512F__)
inline f32x16 select(i32x16 mask, f32x16 a, f32x16 b) { return mask ? a : b; }
inline f32x16 asFloat(i32x16 v) { return (f32x16)v; }
inline i32x16 asInt(f32x16 v) { return (i32x16)v; }
inline f32x16 toFloat(i32x16 v) { return _mm512_cvtepi32_ps((__m512i)v); }
inline i32x16 toInt(f32x16 v) { return (i32x16)_mm512_cvttps_epi32(v); }
inline f32x16 squareRoot(f32x16 v) { return _mm512_sqrt_ps(v); }
#endif

template <typename M, typename H>
inline Wide<H> select(const Wide<M>& mask, const Wide<H>& a, const Wide<H>& b) {
  return {select(mask.lo, a.lo, b.lo), select(mask.hi, a.hi, b.hi)};
}
template <typename H>
inline auto asFloat(const Wide<H>& v) -> Wide<decltype(asFloat(v.lo))> {
  return {asFloat(v.lo), asFloat(v.hi)};
}
template <typename H>
inline auto asInt(const Wide<H>& v) -> Wide<decltype(asInt(v.lo))> {
  return {asInt(v.lo), asInt(v.hi)};
}
template <typename H>
inline auto toFloat(const Wide<H>& v) -> Wide<decltype(toFloat(v.lo))> {
  return {toFloat(v.lo), toFloat(v.hi)};
}
template <typename H>
inline auto toInt(const Wide<H>& v) -> Wide<decltype(toInt(v.lo))> {
  return {toInt(v.lo), toInt(v.hi)};
}
template <typename H>
inline Wide<H> squareRoot(const Wide<H>& v) {
  return {squareRoot(v.lo), squareRoot(v.hi)};
}

// Unaligned memory of any vector type.
template <typename V>
inline void loadInto(V& v, const void* p) {
  std::memcpy(&v, p, sizeof(V));
}
template <typename H>
inline void loadInto(Wide<H>& v, const void* p) {
  loadInto(v.lo, p);
  loadInto(v.hi, static_cast<const char*>(p) + sizeof(H));
}
template <typename V>
inline void storeFrom(void* p, const V& v) {
  std::memcpy(p, &v, sizeof(V));
}
template <typename H>
inline void storeFrom(void* p, const Wide<H>& v) {
  storeFrom(p, v.lo);
  storeFrom(static_cast<char*>(p) + sizeof(H), v.hi);
}

inline f32x16 load(const float* p) {
  f32x16 v;
  loadInto(v, p);
  return v;
}
inline void store(float* p, const f32x16& v) { storeFrom(p, v); }
inline i32x16 load(const int32_t* p) {
  i32x16 v;
  loadInto(v, p);
  return v;
}
inline void store(int32_t* p, const i32x16& v) { storeFrom(p, v); }

// Written out: 0 + x would be an addition, because of the sign of zero.
inline void fillWith(f32x4& v, float x) { v = f32x4{x, x, x, x}; }
#if defined(__AVX2__)
inline void fillWith(f32x8& v, float x) { v = f32x8{x, x, x, x, x, x, x, x}; }
#endif
#if defined(__AVX512F__)
inline void fillWith(f32x16& v, float x) { v = f32x16{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
#endif
template <typename H>
inline void fillWith(Wide<H>& v, float x) {
  fillWith(v.lo, x);
  fillWith(v.hi, x);
}

inline f32x16 splat(float x) {
  f32x16 v;
  fillWith(v, x);
  return v;
}
inline f32x16 zero() { return f32x16{}; }
inline i32x16 splatInt(int32_t x) { return i32x16{} + x; }

inline f32x16 fma(const f32x16& a, const f32x16& b, const f32x16& c) { return a * b + c; }
// When either is NaN the result is b.
inline f32x16 min(const f32x16& a, const f32x16& b) { return select(a < b, a, b); }
inline f32x16 max(const f32x16& a, const f32x16& b) { return select(a > b, a, b); }
inline f32x16 abs(const f32x16& a) { return asFloat(asInt(a) & 0x7fffffff); }

// ---- bfloat16: widening is exact, narrowing rounds to nearest even and keeps NaN ----

inline float widen(bfloat16 x) {
  const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
  float y;
  std::memcpy(&y, &bits, 4);
  return y;
}
inline bfloat16 narrow(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

// The bits of 16 rounded numbers, each in the low half of a lane.
inline i32x16 roundedBits(const f32x16& v) {
  const i32x16 bits = asInt(v);
  // The high half, and a carry out of the low half. Shifts copy the sign; only the low half is stored.
  const i32x16 high = bits >> 16;
  const i32x16 rounded = high + (((bits & 0xffff) + (high & 1) + 0x7fff) >> 16);
  const i32x16 quiet = high | 0x40;
  return asInt(select(v == v, asFloat(rounded), asFloat(quiet)));
}

#if defined(__AVX512F__)
inline f32x16 load(const bfloat16* p) {
  __m256i raw;
  std::memcpy(&raw, p, 32);
  return (f32x16)_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16);
}
inline void store(bfloat16* p, const f32x16& v) {
#if defined(__AVX512BF16__)
  const __m256i raw = (__m256i)_mm512_cvtneps_pbh((__m512)v);
#else
  const __m256i raw = _mm512_cvtepi32_epi16((__m512i)roundedBits(v));
#endif
  std::memcpy(p, &raw, 32);
}
#elif defined(__AVX2__)
inline f32x8 widenHalf(const bfloat16* p) {
  __m128i raw;
  std::memcpy(&raw, p, 16);
  return (f32x8)_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16);
}
inline f32x16 load(const bfloat16* p) { return {widenHalf(p), widenHalf(p + 8)}; }
inline void store(bfloat16* p, const f32x16& v) {
  const i32x16 bits = roundedBits(v) & 0xffff;
  const __m256i packed = _mm256_packus_epi32((__m256i)bits.lo, (__m256i)bits.hi);
  const __m256i ordered = _mm256_permute4x64_epi64(packed, 0xd8);
  std::memcpy(p, &ordered, 32);
}
#else
inline f32x4 widenQuarter(const bfloat16* p) {
  u16x4 raw;
  std::memcpy(&raw, p, 8);
  return (f32x4)(__builtin_convertvector(raw, i32x4) << 16);
}
inline f32x16 load(const bfloat16* p) {
  return {{widenQuarter(p), widenQuarter(p + 4)}, {widenQuarter(p + 8), widenQuarter(p + 12)}};
}
inline void store(bfloat16* p, const f32x16& v) {
  const i32x16 bits = roundedBits(v);
  const i32x4 quarters[4] = {bits.lo.lo, bits.lo.hi, bits.hi.lo, bits.hi.hi};
  for (int i = 0; i < 4; i++) {
    const u16x4 raw = __builtin_convertvector(quarters[i], u16x4);
    std::memcpy(p + 4 * i, &raw, 8);
  }
}
#endif

// The first n (0 … 16) elements; the others read as zero and are not touched when stored.
#if defined(__AVX512F__)
inline __mmask16 firstLanes(int64_t n) { return static_cast<__mmask16>((1u << n) - 1); }
inline f32x16 loadPartial(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(firstLanes(n), p); }
inline void storePartial(float* p, const f32x16& v, int64_t n) { _mm512_mask_storeu_ps(p, firstLanes(n), v); }
inline f32x16 loadPartial(const bfloat16* p, int64_t n) {
  const __m256i raw = _mm256_maskz_loadu_epi16(firstLanes(n), p);
  return (f32x16)_mm512_slli_epi32(_mm512_cvtepu16_epi32(raw), 16);
}
inline void storePartial(bfloat16* p, const f32x16& v, int64_t n) {
#if defined(__AVX512BF16__)
  const __m256i raw = (__m256i)_mm512_cvtneps_pbh((__m512)v);
#else
  const __m256i raw = _mm512_cvtepi32_epi16((__m512i)roundedBits(v));
#endif
  _mm256_mask_storeu_epi16(p, firstLanes(n), raw);
}
#else
template <typename T>
inline f32x16 loadPartial(const T* p, int64_t n) {
  T whole[kWidth] = {};
  std::memcpy(whole, p, static_cast<size_t>(n) * sizeof(T));
  return load(whole);
}
template <typename T>
inline void storePartial(T* p, const f32x16& v, int64_t n) {
  T whole[kWidth];
  store(whole, v);
  std::memcpy(p, whole, static_cast<size_t>(n) * sizeof(T));
}
#endif

// One element of either storage, for tails and scalars.
inline float loadOne(const float* p) { return *p; }
inline float loadOne(const bfloat16* p) { return widen(*p); }
inline void storeOne(float* p, float x) { *p = x; }
inline void storeOne(bfloat16* p, float x) { *p = narrow(x); }

// ---- horizontal: the same order on every instruction set (halves onto each other) ----

inline f32x4 quarterSum(const Wide<f32x4>& v) { return v.lo + v.hi; }
#if defined(__AVX2__)
inline f32x4 quarterSum(f32x8 v) { return (f32x4)_mm256_castps256_ps128(v) + (f32x4)_mm256_extractf128_ps(v, 1); }
inline f32x8 lowHalf(const Wide<f32x8>& v) { return v.lo; }
inline f32x8 highHalf(const Wide<f32x8>& v) { return v.hi; }
#else
inline Wide<f32x4> lowHalf(const f32x16& v) { return v.lo; }
inline Wide<f32x4> highHalf(const f32x16& v) { return v.hi; }
#endif
#if defined(__AVX512F__)
inline f32x8 lowHalf(f32x16 v) { return _mm512_castps512_ps256(v); }
inline f32x8 highHalf(f32x16 v) { return _mm512_extractf32x8_ps(v, 1); }
#endif

inline float sum(const f32x16& v) {
  const f32x4 q = quarterSum(lowHalf(v) + highHalf(v));
  return (q[0] + q[2]) + (q[1] + q[3]);
}
// NaN elements are not reliably seen.
inline float maximum(const f32x16& v) {
  float whole[kWidth];
  store(whole, v);
  float best = whole[0];
  for (int i = 1; i < kWidth; i++) best = whole[i] > best ? whole[i] : best;
  return best;
}

}  // namespace braid::BRAID_VARIANT
