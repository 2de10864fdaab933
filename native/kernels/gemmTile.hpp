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

// out[Rows, kTileColumns] = Σ over `units` of the first Rows lines of panel a times panel b.
template <typename Units, int Rows>
void multiplyTile(int64_t units, const float* a, const float* b, float* out) {
  Native sum[Rows][kTileVectors] = {};
  for (int64_t u = 0; u < units; u++) {
    Native right[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; v++) loadInto(right[v], b + v * kNativeWidth);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; r++) {
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; v++) sum[r][v] = multiplyAdd(Units{}, a[r], right[v], sum[r][v]);
    }
    a += kTileRows;
    b += kTileColumns;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; v++) storeFrom(out + r * kTileColumns + v * kNativeWidth, sum[r][v]);
  }
}

// How a product is cut into tiles, with operands in units of the given kinds. Both kinds hold as many elements.
template <typename LeftUnits, typename RightUnits>
struct RegisterTiling {
  static constexpr int kRows = kTileRows;
  static constexpr int kColumns = kTileColumns;
  static constexpr int64_t kUnitsPerStep = 1;
  static constexpr int64_t kUnitsPerBlock = 384;  // of k: a panel of b stays in the first-level cache

  static int64_t unitsOf(int64_t k) { return (k + LeftUnits::kPerUnit - 1) / LeftUnits::kPerUnit; }
  static constexpr int64_t kPerUnit = LeftUnits::kPerUnit;

  static void packLeft(const GemmSide& a, int64_t row, int64_t rows, int64_t k0, int64_t k, float* out) {
    packPanels<LeftUnits, kRows>(a, row, rows, k0, k, unitsOf(k), out);
  }
  static void packRight(const GemmSide& b, int64_t column, int64_t columns, int64_t k0, int64_t k, float* out) {
    packPanels<RightUnits, kColumns>(b, column, columns, k0, k, unitsOf(k), out);
  }

  // Panels of a are always packed.
  static constexpr bool readsInPlace(const GemmSide&, int64_t) { return false; }
  static LeftPanel panelInPlace(const GemmSide&, int64_t, int64_t) { return {nullptr}; }
  static LeftPanel packedPanel(const float* packed) { return {packed}; }

  static constexpr bool kInPlace = false;  // tiles pass through memory of their own before they reach c

  // Around the tiles of one thread.
  struct Session {};

  // The smallest compiled kernel that covers `rows`.
  static void multiply(int64_t rows, int64_t units, const LeftPanel& left, const float* b, const Ahead&, float* out) {
    const float* a = left.data;
    constexpr int kQuarter = (kRows + 3) / 4, kHalf = (kRows + 1) / 2, kMost = kQuarter + kHalf;
    if (rows > kMost) return multiplyTile<LeftUnits, kRows>(units, a, b, out);
    if (rows > kHalf) return multiplyTile<LeftUnits, kMost>(units, a, b, out);
    if (rows > kQuarter) return multiplyTile<LeftUnits, kHalf>(units, a, b, out);
    multiplyTile<LeftUnits, kQuarter>(units, a, b, out);
  }
};

}  // namespace braid::BRAID_VARIANT
