// Weights of 8 or 4 bits with a scale for every 32 of them; src/ops/quantized.ts has the layout.
// Products with few rows read the integers as they are (quantizedFew.cpp).
#pragma once
#include "../core/kernel.hpp"
#include "gemm.hpp"
#include "vector.hpp"

namespace braid::BRAID_VARIANT {

constexpr int64_t kQuantizedGroup = 32;
constexpr int64_t kBlockWords = 16;

struct QuantizedWeight {
  const int32_t* packed;  // [n, words]
  const bfloat16* scales;  // [n, groups]
  int64_t n, words, groups;
  int bits;

  QuantizedWeight(const Tensor& packedTensor, const Tensor& scalesTensor, int64_t bitsOfWeight)
      : packed(packedTensor.as<const int32_t>()),
        scales(scalesTensor.as<const bfloat16>()),
        n(scalesTensor.shape[0]),
        words(packedTensor.shape[1]),
        groups(scalesTensor.shape[1]),
        bits(static_cast<int>(bitsOfWeight)) {}

  int64_t k() const { return groups * kQuantizedGroup; }
  int64_t groupsPerBlock() const { return 16 / bits; }
  float half() const { return bits == 8 ? 128.0f : 8.0f; }
};

// Sixteen integers, still with half the range added: those of the even or the odd lanes of one group of a block.
inline f32x16 levels(const i32x16& block, int shift, int bits) { return toFloat((block >> shift) & ((1 << bits) - 1)); }

// even₀ odd₀ even₁ odd₁ …
inline void storeInTurn(float* out, const f32x16& even, const f32x16& odd) {
#if defined(__AVX512F__)
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  store(out, (f32x16)_mm512_permutex2var_ps((__m512)even, low, (__m512)odd));
  store(out + kWidth, (f32x16)_mm512_permutex2var_ps((__m512)even, high, (__m512)odd));
#else
  float evens[kWidth], odds[kWidth];
  store(evens, even);
  store(odds, odd);
  for (int i = 0; i < kWidth; i++) out[2 * i] = evens[i], out[2 * i + 1] = odds[i];
#endif
}
// Pairs of bfloat16 numbers are words: the even one in the lower half.
inline void storeInTurn(bfloat16* out, const f32x16& even, const f32x16& odd) {
  const i32x16 pairs = (roundedBits(even) & 0xffff) | (roundedBits(odd) << 16);
  storeFrom(out, pairs);
}

// The weights of rows [begin, end), one row after the other.
template <typename T>
inline void dequantizeRows(const QuantizedWeight& w, int64_t begin, int64_t end, T* out) {
  const int64_t perBlock = w.groupsPerBlock();
  for (int64_t row = begin; row < end; row++) {
    for (int64_t g = 0; g < w.groups; g++) {
      const i32x16 block = load(w.packed + row * w.words + g / perBlock * kBlockWords);
      const float scale = widen(w.scales[row * w.groups + g]);
      const int shift = static_cast<int>(g % perBlock) * w.bits;
      const f32x16 even = (levels(block, shift, w.bits) - w.half()) * scale;
      const f32x16 odd = (levels(block, shift + 16, w.bits) - w.half()) * scale;
      storeInTurn(out, even, odd);
      out += kQuantizedGroup;
    }
  }
}

constexpr int64_t kQuantizedFewRows = 16;

// g.a times the transposed weight for up to kQuantizedFewRows rows; g.b is not looked at.
void multiplyQuantizedFew(Team& team, const GemmArguments& g, const QuantizedWeight& w);

}  // namespace braid::BRAID_VARIANT
