#include "gemmFew.hpp"

#include "gemmFinish.hpp"
#include "gemmPack.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int kAcross = 4;  // columns at a time in the dot form

// How far ahead of its use b is asked for. The hardware's own prefetching follows four lines badly: with this the product
// reads as fast as memory gives.
constexpr int64_t kAheadBytes = 4096;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Sixteen products, or thirty-two of bfloat16, added to `sum`.
template <typename A, typename B>
struct Floats {
  static constexpr int64_t kStep = kWidth;
  static void add(f32x16& sum, const f32x16& a, const f32x16& b) { sum = a * b + sum; }
  static f32x16 left(const A* p, int64_t n) { return n >= kStep ? load(p) : loadPartial(p, n); }
  static f32x16 right(const B* p, int64_t n) { return n >= kStep ? load(p) : loadPartial(p, n); }
};
#if defined(__AVX512BF16__)
template <>
struct Floats<bfloat16, bfloat16> {
  static constexpr int64_t kStep = 2 * kWidth;
  static void add(f32x16& sum, const f32x16& a, const f32x16& b) {
    sum = (f32x16)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
  }
  static f32x16 left(const bfloat16* p, int64_t n) { return PairUnits::alongK(p, n); }
  static f32x16 right(const bfloat16* p, int64_t n) { return PairUnits::alongK(p, n); }
};
#endif

// tile[Rows, kAcross] = rows of a times lines of b, both contiguous along k. Lines past `last` repeat it: their results are
// not used.
template <int Rows, typename A, typename B>
void dotTile(const GemmArguments& g, int64_t row, int64_t line, int64_t last, float* tile) {
  using Step = Floats<A, B>;
  const A* a[Rows];
  const B* b[kAcross];
  for (int r = 0; r < Rows; r++) a[r] = static_cast<const A*>(g.a.data) + smaller(row + r, g.m - 1) * g.a.stride;
  for (int c = 0; c < kAcross; c++) b[c] = static_cast<const B*>(g.b.data) + smaller(line + c, last) * g.b.stride;
  const int64_t next = kAcross * g.b.stride, least = kAheadBytes / static_cast<int64_t>(sizeof(B));
  const int64_t ahead = next < least ? least : next;
  f32x16 sum[Rows][kAcross] = {};
  for (int64_t k = 0; k < g.k; k += Step::kStep) {
    f32x16 left[Rows];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; r++) left[r] = Step::left(a[r] + k, g.k - k);
#pragma GCC unroll 4
    for (int c = 0; c < kAcross; c++) {
      __builtin_prefetch(b[c] + k + ahead);
      const f32x16 right = Step::right(b[c] + k, g.k - k);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; r++) Step::add(sum[r][c], left[r], right);
    }
  }
  for (int r = 0; r < Rows; r++) {
    for (int c = 0; c < kAcross; c++) tile[r * kFewColumns + c] = braid::BRAID_VARIANT::sum(sum[r][c]);
  }
}

// tile[Rows, 16] = rows of a times sixteen columns of b, which are neighbours in memory for each k.
template <int Rows, typename A, typename B>
void outerTile(const GemmArguments& g, int64_t row, int64_t column, int64_t columns, float* tile) {
  const A* a[Rows];
  for (int r = 0; r < Rows; r++) a[r] = static_cast<const A*>(g.a.data) + smaller(row + r, g.m - 1) * g.a.stride;
  const B* b = static_cast<const B*>(g.b.data) + column;
  f32x16 sum[Rows] = {};
  for (int64_t k = 0; k < g.k; k++) {
    const f32x16 right = columns == kWidth ? load(b) : loadPartial(b, columns);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; r++) sum[r] = loadOne(a[r] + k) * right + sum[r];
    b += g.b.stride;
  }
  for (int r = 0; r < Rows; r++) store(tile + r * kFewColumns, sum[r]);
}

template <int Rows, typename A, typename B>
void multiplyRows(const GemmArguments& g, int64_t row, int64_t begin, int64_t end) {
  alignas(64) float tile[Rows * kFewColumns];
  const int64_t rows = smaller(Rows, g.m - row);
  for (int64_t column = begin; column < end; column += kFewColumns) {
    const int64_t columns = smaller(kFewColumns, end - column);
    if (g.b.transposed) {
      for (int64_t c = 0; c < columns; c += kAcross) dotTile<Rows, A, B>(g, row, column + c, end - 1, tile + c);
    } else {
      outerTile<Rows, A, B>(g, row, column, columns, tile);
    }
    finish(g, tile, kFewColumns, row, column, rows, columns, true);
  }
}

// A stretch of columns small enough that b's part of it stays in the cache while all rows pass.
template <typename A, typename B>
void multiplyColumns(const GemmArguments& g, int64_t begin, int64_t end) {
  if (g.m == 1) return multiplyRows<1, A, B>(g, 0, begin, end);
  for (int64_t column = begin; column < end; column += kFewColumns) {
    const int64_t next = smaller(column + kFewColumns, end);
    for (int64_t row = 0; row < g.m; row += 4) multiplyRows<4, A, B>(g, row, column, next);
  }
}

}  // namespace

void multiplyFewRows(const GemmArguments& g, int64_t begin, int64_t end) {
  const bool a16 = g.a.dtype == DType::bfloat16, b16 = g.b.dtype == DType::bfloat16;
  if (a16 && b16) return multiplyColumns<bfloat16, bfloat16>(g, begin, end);
  if (a16) return multiplyColumns<bfloat16, float>(g, begin, end);
  if (b16) return multiplyColumns<float, bfloat16>(g, begin, end);
  multiplyColumns<float, float>(g, begin, end);
}

}  // namespace braid::BRAID_VARIANT
