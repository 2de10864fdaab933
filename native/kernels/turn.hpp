// Matrices turned on their way between rows of a tensor and columns of a work space, sixteen by sixteen.
#pragma once
#include <algorithm>

#include "operand.hpp"

namespace braid::BRAID_VARIANT {

#if !defined(__AVX512F__)
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

#endif

// to[column · stride + row] = from[row · kWidth + column] for sixteen rows and columns.
#if defined(__AVX512F__)
inline void turnSixteen(const float* from, float* to, int64_t stride) {
  __m512 a[kWidth], b[kWidth];
  for (int i = 0; i < kWidth; i++) a[i] = _mm512_loadu_ps(from + i * kWidth);
  for (int i = 0; i < kWidth; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  // Turned four by four: quarter q of a[4 i + k] is column 4 q + k of rows 4 i … 4 i + 3.
  const auto pairs = [](__m512 x, __m512 y, bool high) {
    const __m512d u = _mm512_castps_pd(x), v = _mm512_castps_pd(y);
    return _mm512_castpd_ps(high ? _mm512_unpackhi_pd(u, v) : _mm512_unpacklo_pd(u, v));
  };
  for (int i = 0; i < kWidth; i += 4) {
    a[i] = pairs(b[i], b[i + 2], false);
    a[i + 1] = pairs(b[i], b[i + 2], true);
    a[i + 2] = pairs(b[i + 1], b[i + 3], false);
    a[i + 3] = pairs(b[i + 1], b[i + 3], true);
  }
  for (int k = 0; k < 4; k++) {
    const __m512 even = _mm512_shuffle_f32x4(a[k], a[4 + k], 0x88), odd = _mm512_shuffle_f32x4(a[k], a[4 + k], 0xdd);
    const __m512 evenLate = _mm512_shuffle_f32x4(a[8 + k], a[12 + k], 0x88);
    const __m512 oddLate = _mm512_shuffle_f32x4(a[8 + k], a[12 + k], 0xdd);
    _mm512_storeu_ps(to + k * stride, _mm512_shuffle_f32x4(even, evenLate, 0x88));
    _mm512_storeu_ps(to + (4 + k) * stride, _mm512_shuffle_f32x4(odd, oddLate, 0x88));
    _mm512_storeu_ps(to + (8 + k) * stride, _mm512_shuffle_f32x4(even, evenLate, 0xdd));
    _mm512_storeu_ps(to + (12 + k) * stride, _mm512_shuffle_f32x4(odd, oddLate, 0xdd));
  }
}
#else
inline void turnSixteen(const float* from, float* to, int64_t stride) {
  for (int column = 0; column < kWidth; column += 4) {
    for (int row = 0; row < kWidth; row += 4) turnFour(from + row * kWidth + column, to + column * stride + row, stride);
  }
}
#endif

// Rows of a tensor as columns: to[i · toStride + row] = from[at + row · stride + i]. Columns up to the next whole vector are
// zero. What stands behind the rows is fetched ahead: with a head in each piece of a row, it is the next one to be read.
inline void rowsToColumns(const Source& from, int64_t at, int64_t stride, int64_t rows, int64_t width, float* to,
                          int64_t toStride) {
  alignas(64) float in[kWidth * kWidth], out[kWidth * kWidth];
  for (int64_t row = 0; row < rows; row += kWidth) {
    for (int64_t i = 0; i < width; i += kWidth) {
      const int64_t lanes = std::min<int64_t>(kWidth, width - i);
      for (int64_t r = 0; r < kWidth; r++) {
        const int64_t piece = at + (row + r) * stride + i;
        from.prefetch(piece + width);
        store(in + r * kWidth, row + r < rows ? from.load(piece, lanes) : zero());
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
