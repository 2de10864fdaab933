// Matrices turned on their way between rows of a tensor and columns of a work space, sixteen by sixteen.
#pragma once
#include <algorithm>

#include "operand.hpp"

namespace braid::BRAID_VARIANT {

// to[column · stride + row] = from[row · kWidth + column] for four rows and four columns.
inline void turnFour(const float* from, float* to, int64_t stride) {
#if defined(__AVX2__)
  __m128 a = _mm_loadu_ps(from), b = _mm_loadu_ps(from + kWidth);
  __m128 c = _mm_loadu_ps(from + 2 * kWidth), d = _mm_loadu_ps(from + 3 * kWidth);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a);
  _mm_storeu_ps(to + stride, b);
  _mm_storeu_ps(to + 2 * stride, c);
  _mm_storeu_ps(to + 3 * stride, d);
#else
  for (int column = 0; column < 4; column++) {
    for (int row = 0; row < 4; row++) to[column * stride + row] = from[row * kWidth + column];
  }
#endif
}

inline void turnSixteen(const float* from, float* to, int64_t stride) {
  for (int column = 0; column < kWidth; column += 4) {
    for (int row = 0; row < kWidth; row += 4) turnFour(from + row * kWidth + column, to + column * stride + row, stride);
  }
}

// Rows of a tensor as columns: to[i · toStride + row] = from[at + row · stride + i]. Columns up to the next whole vector are
// zero.
inline void rowsToColumns(const Source& from, int64_t at, int64_t stride, int64_t rows, int64_t width, float* to,
                          int64_t toStride) {
  alignas(64) float in[kWidth * kWidth], out[kWidth * kWidth];
  for (int64_t row = 0; row < rows; row += kWidth) {
    for (int64_t i = 0; i < width; i += kWidth) {
      const int64_t lanes = std::min<int64_t>(kWidth, width - i);
      for (int64_t r = 0; r < kWidth; r++) {
        store(in + r * kWidth, row + r < rows ? from.load(at + (row + r) * stride + i, lanes) : zero());
      }
      if (lanes == kWidth) {
        turnSixteen(in, to + i * toStride + row, toStride);
      } else {
        turnSixteen(in, out, kWidth);
        for (int64_t k = 0; k < lanes; k++) store(to + (i + k) * toStride + row, load(out + k * kWidth));
      }
    }
  }
}

// The way back: to[at + row · stride + i] = from[i · fromStride + row].
inline void columnsToRows(const float* from, int64_t fromStride, int64_t rows, int64_t width, const Sink& to, int64_t at,
                          int64_t stride) {
  alignas(64) float in[kWidth * kWidth], out[kWidth * kWidth];
  for (int64_t row = 0; row < rows; row += kWidth) {
    for (int64_t i = 0; i < width; i += kWidth) {
      const int64_t lanes = std::min<int64_t>(kWidth, width - i);
      for (int64_t k = 0; k < kWidth; k++) {
        store(in + k * kWidth, k < lanes ? load(from + (i + k) * fromStride + row) : zero());
      }
      turnSixteen(in, out, kWidth);
      for (int64_t r = 0; r < kWidth && row + r < rows; r++) to.store(at + (row + r) * stride + i, load(out + r * kWidth), lanes);
    }
  }
}

}  // namespace braid::BRAID_VARIANT
