// The packed matrix product. b is packed in blocks that all threads share, a in blocks that fit one thread's second-level
// cache; the tiles of a block pair are computed one by one.
//   K. Goto, R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008).
#include "gemm.hpp"

#include "gemmFew.hpp"
#include "gemmFinish.hpp"
#include "gemmTile.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int64_t kUnitsPerBlock = 384;           // of k: a panel of b stays in the first-level cache
constexpr int64_t kLeftUnits = 128 * 1024;        // of a packed block of a: 512 KiB
constexpr int64_t kRightUnits = 2 * 1024 * 1024;  // of a packed block of b: 8 MiB

int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// k in equal blocks, whole units each. A result that is rounded must not be rounded once per block: it takes k as a whole.
template <typename Units>
int64_t blockOfK(const GemmArguments& g) {
  const int64_t units = ceilDivide(g.k, Units::kPerUnit);
  if (g.cType == DType::bfloat16) return units * Units::kPerUnit;
  return ceilDivide(units, ceilDivide(units, kUnitsPerBlock)) * Units::kPerUnit;
}

template <typename Units>
int64_t blockOfN(int64_t n, int64_t kBlock) {
  const int64_t panels = ceilDivide(n, kTileColumns);
  const int64_t most = kRightUnits / (ceilDivide(kBlock, Units::kPerUnit) * kTileColumns);
  return ceilDivide(panels, ceilDivide(panels, most < 1 ? 1 : most)) * kTileColumns;
}

template <typename Units>
int64_t blockOfM(int64_t m, int64_t kBlock) {
  const int64_t panels = ceilDivide(m, kTileRows);
  const int64_t most = kLeftUnits / (ceilDivide(kBlock, Units::kPerUnit) * kTileRows);
  return ceilDivide(panels, ceilDivide(panels, most < 1 ? 1 : most)) * kTileRows;
}

// A block of b, packed: columns column … column + columns − 1 and k from k0.
struct RightBlock {
  int64_t column, columns, k0, k;
  const float* packed;
};

// Rows [begin, end) of the product with one block of b.
template <typename LeftUnits>
void multiplyRows(const GemmArguments& g, const RightBlock& right, int64_t begin, int64_t end, float* leftPacked) {
  const int64_t units = ceilDivide(right.k, LeftUnits::kPerUnit);
  const int64_t mBlock = blockOfM<LeftUnits>(end - begin, right.k);
  alignas(64) float tile[kTileRows * kTileColumns];
  for (int64_t row = begin; row < end; row += mBlock) {
    const int64_t rows = end - row < mBlock ? end - row : mBlock;
    packPanels<LeftUnits, kTileRows>(rowsOf(g.a), row, rows, right.k0, right.k, leftPacked);
    for (int64_t j = 0; j < right.columns; j += kTileColumns) {
      const int64_t columns = right.columns - j < kTileColumns ? right.columns - j : kTileColumns;
      const float* b = right.packed + j * units;
      for (int64_t i = 0; i < rows; i += kTileRows) {
        const int64_t tileRows = rows - i < kTileRows ? rows - i : kTileRows;
        multiplyTile<LeftUnits>(tileRows, units, leftPacked + i * units, b, tile);
        finish(g, tile, kTileColumns, row + i, right.column + j, tileRows, columns, right.k0 == 0);
      }
    }
  }
}

template <typename Units>
size_t leftBytes(int64_t m, int64_t kBlock) {
  return static_cast<size_t>(blockOfM<Units>(m, kBlock) * ceilDivide(kBlock, Units::kPerUnit)) * sizeof(float);
}
template <typename Units>
size_t rightBytes(int64_t nBlock, int64_t kBlock) {
  return static_cast<size_t>(nBlock * ceilDivide(kBlock, Units::kPerUnit)) * sizeof(float);
}

// The threads share blocks of b and divide the rows.
template <typename LeftUnits, typename RightUnits>
void sharedColumns(Team& team, const GemmArguments& g) {
  const int64_t kBlock = blockOfK<LeftUnits>(g);
  const int64_t nBlock = blockOfN<RightUnits>(g.n, kBlock);
  float* packed =
      reinterpret_cast<float*>(team.scratch(0, rightBytes<RightUnits>(nBlock, kBlock), Scratch::gemmShared));
  for (int64_t column = 0; column < g.n; column += nBlock) {
    for (int64_t k0 = 0; k0 < g.k; k0 += kBlock) {
      const int64_t columns = g.n - column < nBlock ? g.n - column : nBlock;
      const RightBlock right{column, columns, k0, g.k - k0 < kBlock ? g.k - k0 : kBlock, packed};
      const int64_t units = ceilDivide(right.k, RightUnits::kPerUnit);
      team.split(columns, kTileColumns, [&](int64_t begin, int64_t end, int) {
        packPanels<RightUnits, kTileColumns>(columnsOf(g.b), column + begin, end - begin, right.k0, right.k,
                                             packed + begin * units);
      });
      team.split(g.m, kTileRows, [&](int64_t begin, int64_t end, int thread) {
        const size_t bytes = leftBytes<LeftUnits>(end - begin, right.k);
        float* left = reinterpret_cast<float*>(team.scratch(thread, bytes, Scratch::gemm));
        multiplyRows<LeftUnits>(g, right, begin, end, left);
      });
    }
  }
}

// Columns [first, last), on one thread.
template <typename LeftUnits, typename RightUnits>
void ownColumns(Team& team, int thread, const GemmArguments& g, int64_t first, int64_t last) {
  const int64_t kBlock = blockOfK<LeftUnits>(g);
  const int64_t nBlock = blockOfN<RightUnits>(last - first, kBlock);
  const size_t leftSize = leftBytes<LeftUnits>(g.m, kBlock);
  std::byte* memory = team.scratch(thread, leftSize + rightBytes<RightUnits>(nBlock, kBlock), Scratch::gemm);
  float* left = reinterpret_cast<float*>(memory);
  float* packed = reinterpret_cast<float*>(memory + leftSize);
  for (int64_t column = first; column < last; column += nBlock) {
    for (int64_t k0 = 0; k0 < g.k; k0 += kBlock) {
      const RightBlock right{column, last - column < nBlock ? last - column : nBlock, k0,
                             g.k - k0 < kBlock ? g.k - k0 : kBlock, packed};
      packPanels<RightUnits, kTileColumns>(columnsOf(g.b), column, right.columns, k0, right.k, packed);
      multiplyRows<LeftUnits>(g, right, 0, g.m, left);
    }
  }
}

template <typename LeftUnits, typename RightUnits>
void multiply(Team& team, const GemmArguments& g) {
  // The share of the slowest thread, in tiles, when rows or columns are divided.
  const int64_t threads = team.size();
  const int64_t tilesDown = ceilDivide(g.m, kTileRows), tilesAcross = ceilDivide(g.n, kTileColumns);
  const int64_t byRows = ceilDivide(tilesDown, threads) * tilesAcross;
  const int64_t byColumns = tilesDown * ceilDivide(tilesAcross, threads);
  if (byRows <= byColumns + byColumns / 16) {
    sharedColumns<LeftUnits, RightUnits>(team, g);
  } else {
    team.split(g.n, kTileColumns, [&](int64_t begin, int64_t end, int thread) {
      ownColumns<LeftUnits, RightUnits>(team, thread, g, begin, end);
    });
  }
}

// Calls body with the kind of unit that each operand is packed in.
template <typename Body>
void withUnits(const GemmArguments& g, const Body& body) {
  const bool a16 = g.a.dtype == DType::bfloat16, b16 = g.b.dtype == DType::bfloat16;
#if defined(__AVX512BF16__)
  if (a16 && b16) return body(PairUnits{}, PairUnits{});
#else
  if (a16 && b16) return body(FloatUnits<bfloat16>{}, FloatUnits<bfloat16>{});
#endif
  if (a16) return body(FloatUnits<bfloat16>{}, FloatUnits<float>{});
  if (b16) return body(FloatUnits<float>{}, FloatUnits<bfloat16>{});
  body(FloatUnits<float>{}, FloatUnits<float>{});
}

// Without k the product is zero: what remains is what is added to it.
void finishEmpty(const GemmArguments& g) {
  constexpr float zeros[kWidth] = {};
  for (int64_t row = 0; row < g.m; row++) {
    for (int64_t column = 0; column < g.n; column += kWidth) {
      finish(g, zeros, 0, row, column, 1, g.n - column < kWidth ? g.n - column : kWidth, true);
    }
  }
}

}  // namespace

void gemm(Team& team, const GemmArguments& g) {
  if (g.k <= 0) return finishEmpty(g);
  if (fewRows(g)) {
    team.split(g.n, kFewColumns, [&](int64_t begin, int64_t end, int) { multiplyFewRows(g, begin, end); });
    return;
  }
  withUnits(g, [&](auto left, auto right) { multiply<decltype(left), decltype(right)>(team, g); });
}

void gemmSerial(Team& team, int thread, const GemmArguments& g) {
  if (g.k <= 0) return finishEmpty(g);
  if (fewRows(g)) {
    multiplyFewRows(g, 0, g.n);
    return;
  }
  withUnits(g, [&](auto left, auto right) {
    ownColumns<decltype(left), decltype(right)>(team, thread, g, 0, g.n);
  });
}

}  // namespace braid::BRAID_VARIANT
