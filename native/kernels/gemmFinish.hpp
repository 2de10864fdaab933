// What happens to a finished tile: bias, addend and the old content are added, the result is rounded and stored.
#pragma once
#include "gemm.hpp"
#include "vector.hpp"

namespace braid::BRAID_VARIANT {

template <typename T>
inline void finishRow(const GemmArguments& g, const float* tile, T* c, int64_t row, int64_t column, int64_t columns,
                      bool first) {
  for (int64_t j = 0; j < columns; j += kWidth) {
    const int64_t n = columns - j < kWidth ? columns - j : kWidth;
    f32x16 v = loadPartial(tile + j, n);
    if (first && g.bias) v += loadPartial(g.bias + column + j, n);
    if (first && g.addend) v += loadPartial(g.addend + row * g.addendStride + column + j, n);
    if (!first || g.accumulate) v += loadPartial(c + j, n);
    storePartial(c + j, v, n);
  }
}

// Puts tile[rows, columns] at (row, column) of c. `first`: the tile holds the first piece of the sum over k; later pieces are
// added to what c holds.
inline void finish(const GemmArguments& g, const float* tile, int64_t tileStride, int64_t row, int64_t column,
                   int64_t rows, int64_t columns, bool first) {
  for (int64_t i = 0; i < rows; i++) {
    const int64_t at = (row + i) * g.cStride + column;
    if (g.cType == DType::bfloat16) {
      finishRow(g, tile + i * tileStride, static_cast<bfloat16*>(g.c) + at, row + i, column, columns, first);
    } else {
      finishRow(g, tile + i * tileStride, static_cast<float*>(g.c) + at, row + i, column, columns, first);
    }
  }
}

}  // namespace braid::BRAID_VARIANT
