// Small float32 matrix products on data that is in the first-level cache: the inner work of attention.
//   c[m][n] (+)= Σ_k a[m·aRow + k·aDepth] · b[k·bDepth + n],  n in whole vectors.
#pragma once
#include "vector.hpp"

namespace braid::BRAID_VARIANT {

struct TileProduct {
  int64_t depth;
  const float* a;
  int64_t aRow, aDepth;
  const float* b;
  int64_t bDepth;
  float* c;
  int64_t cRow;
  bool accumulate;
};

// The sums of Rows × Columns vectors stay in registers: 32 of 512 bits, or 16 smaller ones.
#if defined(__AVX512F__)
constexpr int kProductColumns = 4;
constexpr int productRows(int columns) { return columns == 4 ? 6 : columns == 3 ? 8 : 12; }
#elif defined(__AVX2__)
constexpr int kProductColumns = 1;
constexpr int productRows(int) { return 6; }
#else
constexpr int kProductColumns = 1;
constexpr int productRows(int) { return 3; }
#endif

// Not inlined: with known strides GCC finds things to share between rows, and spills the sums for them.
template <int Rows, int Columns>
__attribute__((noinline)) void productBlock(const TileProduct& p, int64_t row, int64_t column) {
  const float* a = p.a + row * p.aRow;
  const float* b = p.b + column;
  float* c = p.c + row * p.cRow + column;
  f32x16 sums[Rows][Columns];
  for (int m = 0; m < Rows; m++) {
    for (int n = 0; n < Columns; n++) sums[m][n] = p.accumulate ? load(c + m * p.cRow + n * kWidth) : zero();
  }
  for (int64_t k = 0; k < p.depth; k++, a += p.aDepth, b += p.bDepth) {
    f32x16 right[Columns];
    for (int n = 0; n < Columns; n++) right[n] = load(b + n * kWidth);
    for (int m = 0; m < Rows; m++) {
      const f32x16 left = splat(a[m * p.aRow]);
      for (int n = 0; n < Columns; n++) sums[m][n] += left * right[n];
    }
  }
  for (int m = 0; m < Rows; m++) {
    for (int n = 0; n < Columns; n++) store(c + m * p.cRow + n * kWidth, sums[m][n]);
  }
}

template <int Rows, int Columns>
inline void productRowsFrom(const TileProduct& p, int64_t row, int64_t rows, int64_t column) {
  for (; row + Rows <= rows; row += Rows) productBlock<Rows, Columns>(p, row, column);
  if constexpr (Rows > 1) {
    if (row < rows) productRowsFrom<Rows / 2, Columns>(p, row, rows, column);
  }
}

template <int Columns>
inline void productColumnsFrom(const TileProduct& p, int64_t rows, int64_t column, int64_t vectors) {
  for (; vectors >= Columns; vectors -= Columns, column += Columns * kWidth) {
    productRowsFrom<productRows(Columns), Columns>(p, 0, rows, column);
  }
  if constexpr (Columns > 1) {
    if (vectors > 0) productColumnsFrom<Columns - 1>(p, rows, column, vectors);
  }
}

// c has `rows` rows of `vectors` vectors.
inline void tileProduct(const TileProduct& p, int64_t rows, int64_t vectors) {
  productColumnsFrom<kProductColumns>(p, rows, 0, vectors);
}

}  // namespace braid::BRAID_VARIANT
