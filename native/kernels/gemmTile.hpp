// The inner kernel: a tile of the product, held in registers while k runs.
#pragma once
#include "gemmPack.hpp"

namespace braid::BRAID_VARIANT {

// The widest register, and how many rows and registers make a tile: as many accumulators as there are registers, less those
// for the operands.
#if defined(__AVX512F__)
using Native = f32x16;
constexpr int kTileRows = 14, kTileVectors = 2;
#elif defined(__AVX2__)
using Native = f32x8;
constexpr int kTileRows = 6, kTileVectors = 2;
#elif defined(__aarch64__)
using Native = f32x4;
constexpr int kTileRows = 8, kTileVectors = 3;
#else
using Native = f32x4;
constexpr int kTileRows = 6, kTileVectors = 2;
#endif
constexpr int kNativeWidth = static_cast<int>(sizeof(Native) / sizeof(float));
constexpr int kTileColumns = kTileVectors * kNativeWidth;

template <typename T>
inline Native multiplyAdd(FloatUnits<T>, float a, const Native& b, const Native& c) {
  Native left;
  fillWith(left, a);
  return left * b + c;
}
#if defined(__AVX512BF16__)
inline Native multiplyAdd(PairUnits, float a, const Native& b, const Native& c) {
  return (Native)_mm512_dpbf16_ps((__m512)c, (__m512bh)_mm512_set1_ps(a), (__m512bh)b);
}
#endif

// The rows of a packed panel.
struct PackedRows {
  const float* at;
  explicit PackedRows(const LeftPanel& panel) : at(panel.data) {}
  float row(int r) const { return at[r]; }
  void next() { at += kTileRows; }
};

// Rows where they stand in memory. Three pointers and two distances reach fifteen rows in one address each.
struct RowsInPlace {
  const char *first, *fifth, *tenth;
  int64_t bytes, threefold;
  explicit RowsInPlace(const LeftPanel& panel)
      : first(reinterpret_cast<const char*>(panel.data)),
        fifth(first + 5 * panel.rowBytes),
        tenth(first + 10 * panel.rowBytes),
        bytes(panel.rowBytes),
        threefold(3 * panel.rowBytes) {}
  float row(int r) const {
    static_assert(kTileRows <= 15);
    const char* base = r < 5 ? first : r < 10 ? fifth : tenth;
    const int64_t more = r % 5 == 3 ? threefold : r % 5 * bytes;
    float x;
    std::memcpy(&x, base + more, sizeof x);
    return x;
  }
  void next() { first += sizeof(float), fifth += sizeof(float), tenth += sizeof(float); }
};

// The first `rows` ≤ Rows rows of Σ over `units` of a panel of a times the first Vectors vectors of panel b.
template <typename Units, int Rows, int Vectors, typename Left>
void multiplyTile(int64_t rows, int64_t units, Left a, const float* b, const Ahead& next, const Place& to) {
  Ahead ahead = next;
  Native sum[Rows][Vectors] = {};
  const int64_t linesPerStep = (ahead.rows * kAheadUnits + units - 1) / units;
  for (int64_t u = 0; u < units;) {
    ahead.fetch(linesPerStep);
    for (const int64_t end = units - u < kAheadUnits ? units : u + kAheadUnits; u < end; u++) {
      Native right[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; v++) loadInto(right[v], b + v * kNativeWidth);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; r++) {
        const float left = a.row(r);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; v++) sum[r][v] = multiplyAdd(Units{}, left, right[v], sum[r][v]);
      }
      a.next();
      b += kTileColumns;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; r++) {
    if (r >= rows) return;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; v++) {
      float* at = to.at + r * to.stride + v * kNativeWidth;
      if (to.adds) {
        Native old;
        loadInto(old, at);
        sum[r][v] += old;
      }
      storeFrom(at, sum[r][v]);
    }
  }
}

// How a product is cut into tiles, with operands in units of the given kinds. Both kinds hold as many elements.
template <typename LeftUnits, typename RightUnits>
struct RegisterTiling {
  static constexpr int kRows = kTileRows;
  static constexpr int kColumns = kTileColumns;
  static constexpr int64_t kUnitsPerStep = 1;
  static constexpr int64_t kUnitsPerBlock = 384;  // of k: a panel of a stays in the first-level cache
  static constexpr int64_t kLeftUnits = 96 * 1024;  // of a packed block of a
  // Of a packed block of b with several blocks of k, for tiles that take long enough to read it from the third-level cache.
  static constexpr int64_t kSharedUnits = 2 * 1024 * 1024;

  static int64_t unitsOf(int64_t k) { return (k + LeftUnits::kPerUnit - 1) / LeftUnits::kPerUnit; }
  static constexpr int64_t kPerUnit = LeftUnits::kPerUnit;

  static void packLeft(const GemmSide& a, int64_t row, int64_t rows, int64_t k0, int64_t k, float* out) {
    packPanels<LeftUnits, kRows>(a, row, rows, k0, k, unitsOf(k), out);
  }
  static void packRight(const GemmSide& b, int64_t column, int64_t columns, int64_t k0, int64_t k, float* out) {
    packPanels<RightUnits, kColumns>(b, column, columns, k0, k, unitsOf(k), out);
  }

  // Units that stand in memory as the kernel takes them.
  static bool readsInPlace(const GemmSide& a, int64_t k) { return kTaken && a.kContiguous && k % kPerUnit == 0; }
  static LeftPanel panelInPlace(const GemmSide& a, int64_t row, int64_t k0) {
    const auto* at = static_cast<const typename LeftUnits::Stored*>(a.data) + row * a.stride + k0;
    const int64_t size = static_cast<int64_t>(sizeof(typename LeftUnits::Stored));
    return {reinterpret_cast<const float*>(at), a.stride * size, sizeof(float)};
  }
  static LeftPanel packedPanel(const float* packed) { return {packed, sizeof(float), kRows * sizeof(float)}; }

  // Around the tiles of one thread.
  struct Session {};

  // Whole registers are stored.
  static bool writesInPlace(int64_t /*rows*/, int64_t columns) { return columns % kNativeWidth == 0; }

  static void multiply(int64_t rows, int64_t columns, int64_t units, const LeftPanel& left, const float* b,
                       const Ahead& ahead, const Place& to) {
    static_assert(kTileVectors <= 3);
    if constexpr (kTileVectors == 3) {
      if (columns > 2 * kNativeWidth) return multiplyVectors<3>(rows, units, left, b, ahead, to);
    }
    if (columns > kNativeWidth) return multiplyVectors<2>(rows, units, left, b, ahead, to);
    multiplyVectors<1>(rows, units, left, b, ahead, to);
  }

 private:
  static constexpr bool kTaken = sizeof(typename LeftUnits::Stored) * LeftUnits::kPerUnit == sizeof(float);

  // The smallest compiled kernel that covers `rows`.
  template <int Vectors>
  static void multiplyVectors(int64_t rows, int64_t units, const LeftPanel& left, const float* b, const Ahead& ahead,
                              const Place& to) {
    if constexpr (kTaken) {
      if (left.stepBytes == sizeof(float)) {
        return multiplyTile<LeftUnits, kRows, Vectors>(rows, units, RowsInPlace(left), b, ahead, to);
      }
    }
    const PackedRows a(left);
    constexpr int kQuarter = (kRows + 3) / 4, kHalf = (kRows + 1) / 2, kMost = kQuarter + kHalf;
    if (rows > kMost) return multiplyTile<LeftUnits, kRows, Vectors>(rows, units, a, b, ahead, to);
    if (rows > kHalf) return multiplyTile<LeftUnits, kMost, Vectors>(rows, units, a, b, ahead, to);
    if (rows > kQuarter) return multiplyTile<LeftUnits, kHalf, Vectors>(rows, units, a, b, ahead, to);
    multiplyTile<LeftUnits, kQuarter, Vectors>(rows, units, a, b, ahead, to);
  }
};

}  // namespace braid::BRAID_VARIANT
