// Small matrix products of bfloat16 numbers on the matrix unit of the CPU, with float32 sums: the inner work of attention
// where the program already stores its operands in bfloat16.
//   c[m][n] (+)= Σ_k a[m][k] · b[k][n]
// a is a matrix of bfloat16 rows. b holds pairs: element (k / 2, n) is the 32 bits of b[k][n] and b[k + 1][n].
#pragma once
#include "gemmTileMatrix.hpp"

#if defined(BRAID_HAS_TILES)

namespace braid::BRAID_VARIANT {

struct PairProduct {
  int64_t rows, columns;  // multiples of 16
  int64_t depth;          // a multiple of 32
  const bfloat16* a;
  int64_t aStride;
  const float* b;
  int64_t bStride;
  float* c;
  int64_t cStride;
  bool accumulate;
};

#define BRAID_TILES __attribute__((target("amx-tile,amx-bf16")))

// 16·Rows × 16·Columns sums. Registers 0 to 3 hold them, 4 and 5 the rows of a, 6 and 7 the columns of b.
template <int Rows, int Columns>
BRAID_TILES inline void pairBlock(const PairProduct& p, int64_t row, int64_t column) {
  const int64_t aBytes = p.aStride * 2, bBytes = p.bStride * 4, cBytes = p.cStride * 4;
  const bfloat16* a = p.a + row * p.aStride;
  const float* b = p.b + column;
  float* c = p.c + row * p.cStride + column;
  if (p.accumulate) {
    _tile_loadd(0, c, cBytes);
    if constexpr (Columns > 1) _tile_loadd(1, c + 16, cBytes);
    if constexpr (Rows > 1) _tile_loadd(2, c + 16 * p.cStride, cBytes);
    if constexpr (Rows > 1 && Columns > 1) _tile_loadd(3, c + 16 * p.cStride + 16, cBytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t k = 0; k < p.depth; k += 32, a += 32, b += 16 * p.bStride) {
    _tile_loadd(4, a, aBytes);
    _tile_loadd(6, b, bBytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Columns > 1) {
      _tile_loadd(7, b + 16, bBytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (Rows > 1) {
      _tile_loadd(5, a + 16 * p.aStride, aBytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (Columns > 1) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c, cBytes);
  if constexpr (Columns > 1) _tile_stored(1, c + 16, cBytes);
  if constexpr (Rows > 1) _tile_stored(2, c + 16 * p.cStride, cBytes);
  if constexpr (Rows > 1 && Columns > 1) _tile_stored(3, c + 16 * p.cStride + 16, cBytes);
}

template <int Rows>
BRAID_TILES inline void pairRows(const PairProduct& p, int64_t row) {
  int64_t column = 0;
  for (; column + 32 <= p.columns; column += 32) pairBlock<Rows, 2>(p, row, column);
  if (column < p.columns) pairBlock<Rows, 1>(p, row, column);
}

// Needs a TileTiling::Session on this thread.
BRAID_TILES inline void pairProduct(const PairProduct& p) {
  // The compiler does not see which memory the loads read; everything stored before must be there.
  asm volatile("" ::: "memory");
  int64_t row = 0;
  for (; row + 32 <= p.rows; row += 32) pairRows<2>(p, row);
  if (row < p.rows) pairRows<1>(p, row);
}

#undef BRAID_TILES

// The pairs of two rows.
inline f32x16 pairsOf(const f32x16& even, const f32x16& odd) {
  static constexpr uint16_t kOrder[32] = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23,
                                          8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
  return (f32x16)_mm512_castsi512_ps(_mm512_permutexvar_epi16(_mm512_loadu_si512(kOrder), both));
}

// to[(k / 2) · stride + n] = pairs of the float rows from[k · stride + n]; rows from `rows` to `depth` count as zero.
inline void toPairs(const float* from, int64_t stride, int64_t rows, int64_t depth, int64_t columns, float* to) {
  for (int64_t k = 0; k < depth; k += 2, from += 2 * stride, to += stride) {
    for (int64_t n = 0; n < columns; n += kWidth) {
      const f32x16 even = k < rows ? load(from + n) : zero();
      const f32x16 odd = k + 1 < rows ? load(from + stride + n) : zero();
      store(to + n, pairsOf(even, odd));
    }
  }
}

}  // namespace braid::BRAID_VARIANT

#endif
