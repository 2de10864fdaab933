// The packed matrix product. b is packed in blocks that all threads share, a in blocks that fit one thread's second-level
// cache; the tiles of a block pair are computed one by one.
//   K. Goto, R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008).
#include "gemm.hpp"

#include "gemmFew.hpp"
#include "gemmFinish.hpp"
#include "gemmTile.hpp"
#include "gemmTileMatrix.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int64_t kLeftUnits = 128 * 1024;        // of a packed block of a: 512 KiB
constexpr int64_t kRightUnits = 2 * 1024 * 1024;  // of a packed block of b: 8 MiB
constexpr int64_t kGroup = 8;                     // panels of b that are used in turn with each panel of a

int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// k in equal blocks, whole units each. A result that is rounded must not be rounded once per block: it takes k as a whole.
template <typename Tiling>
int64_t blockOfK(const GemmArguments& g) {
  const int64_t units = ceilDivide(g.k, Tiling::kPerUnit);
  if (g.cType == DType::bfloat16) return units * Tiling::kPerUnit;
  return ceilDivide(units, ceilDivide(units, Tiling::kUnitsPerBlock)) * Tiling::kPerUnit;
}

// `count` lines in equal blocks of whole panels, such that a packed block has about `most` units.
int64_t blockOfLines(int64_t count, int64_t width, int64_t units, int64_t most) {
  const int64_t panels = ceilDivide(count, width);
  const int64_t fitting = most / (units * width);
  return ceilDivide(panels, ceilDivide(panels, fitting < 1 ? 1 : fitting)) * width;
}

// The sizes of the blocks of one product.
template <typename Tiling>
struct Blocks {
  int64_t m, n, k;
  size_t leftBytes, rightBytes;

  Blocks(const GemmArguments& g, int64_t rows, int64_t columns) {
    k = blockOfK<Tiling>(g);
    const int64_t units = Tiling::unitsOf(k);
    m = blockOfLines(rows, Tiling::kRows, units, kLeftUnits);
    n = blockOfLines(columns, Tiling::kColumns, units, kRightUnits);
    leftBytes = static_cast<size_t>(m * units) * sizeof(float);
    rightBytes = static_cast<size_t>(n * units) * sizeof(float);
  }
};

// A block of b, packed: columns column … column + columns − 1 and k from k0.
struct RightBlock {
  int64_t column, columns, k0, k;
  const float* packed;
};

// A tile's place in c.
struct RowPart {
  int64_t row, column, rows, columns;
  bool first;  // of the blocks of k
};

// One tile of the product of two packed panels, added to or put into c.
template <typename Tiling>
void multiplyTile(const GemmArguments& g, const RowPart& part, int64_t units, const float* left, const float* right) {
  const bool whole = part.rows == Tiling::kRows && part.columns == Tiling::kColumns;
  if constexpr (Tiling::kInPlace) {
    const bool adds = !part.first || g.accumulate;
    if (whole && g.cType == DType::float32 && !(part.first && (g.bias || g.addend))) {
      float* c = static_cast<float*>(g.c) + part.row * g.cStride + part.column;
      return Tiling::multiplyInPlace(units, left, right, c, g.cStride, adds);
    }
  }
  alignas(64) float tile[Tiling::kRows * Tiling::kColumns];
  Tiling::multiply(part.rows, units, left, right, tile);
  finish(g, tile, Tiling::kColumns, part.row, part.column, part.rows, part.columns, part.first);
}

// Rows [begin, end) of the product with one block of b, `mBlock` at a time. A block of b stands in the third-level cache;
// a group of its panels is small enough for the second, beside a, and is used with all rows before the next. Rows of c are
// written in pieces as long as a group is wide.
template <typename Tiling>
void multiplyRows(const GemmArguments& g, const RightBlock& right, int64_t begin, int64_t end, int64_t mBlock,
                  float* leftPacked) {
  const int64_t units = Tiling::unitsOf(right.k);
  [[maybe_unused]] const typename Tiling::Session session{};
  for (int64_t row = begin; row < end; row += mBlock) {
    const int64_t rows = smaller(end - row, mBlock);
    Tiling::packLeft(rowsOf(g.a), row, rows, right.k0, right.k, leftPacked);
    for (int64_t group = 0; group < right.columns; group += kGroup * Tiling::kColumns) {
      const int64_t groupEnd = smaller(right.columns, group + kGroup * Tiling::kColumns);
      for (int64_t i = 0; i < rows; i += Tiling::kRows) {
        for (int64_t j = group; j < groupEnd; j += Tiling::kColumns) {
          const RowPart part{row + i, right.column + j, smaller(rows - i, Tiling::kRows),
                             smaller(right.columns - j, Tiling::kColumns), right.k0 == 0};
          multiplyTile<Tiling>(g, part, units, leftPacked + i * units, right.packed + j * units);
        }
      }
    }
  }
}

// The threads share blocks of b and divide the rows.
template <typename Tiling>
void shareColumns(Team& team, const GemmArguments& g) {
  const int64_t rowsOfThread = ceilDivide(ceilDivide(g.m, Tiling::kRows), team.size()) * Tiling::kRows;
  const Blocks<Tiling> block(g, rowsOfThread, g.n);
  float* packed = reinterpret_cast<float*>(team.scratch(0, block.rightBytes, Scratch::gemmShared));
  for (int64_t column = 0; column < g.n; column += block.n) {
    for (int64_t k0 = 0; k0 < g.k; k0 += block.k) {
      const RightBlock right{column, smaller(g.n - column, block.n), k0, smaller(g.k - k0, block.k), packed};
      const int64_t units = Tiling::unitsOf(right.k);
      team.split(right.columns, Tiling::kColumns, [&](int64_t begin, int64_t end, int) {
        Tiling::packRight(columnsOf(g.b), column + begin, end - begin, k0, right.k, packed + begin * units);
      });
      team.split(g.m, Tiling::kRows, [&](int64_t begin, int64_t end, int thread) {
        float* left = reinterpret_cast<float*>(team.scratch(thread, block.leftBytes, Scratch::gemm));
        multiplyRows<Tiling>(g, right, begin, end, block.m, left);
      });
    }
  }
}

// Columns [first, last), on one thread.
template <typename Tiling>
void ownColumns(Team& team, int thread, const GemmArguments& g, int64_t first, int64_t last) {
  const Blocks<Tiling> block(g, g.m, last - first);
  std::byte* memory = team.scratch(thread, block.leftBytes + block.rightBytes, Scratch::gemm);
  float* left = reinterpret_cast<float*>(memory);
  float* packed = reinterpret_cast<float*>(memory + block.leftBytes);
  for (int64_t column = first; column < last; column += block.n) {
    for (int64_t k0 = 0; k0 < g.k; k0 += block.k) {
      const RightBlock right{column, smaller(last - column, block.n), k0, smaller(g.k - k0, block.k), packed};
      Tiling::packRight(columnsOf(g.b), column, right.columns, k0, right.k, packed);
      multiplyRows<Tiling>(g, right, 0, g.m, block.m, left);
    }
  }
}

template <typename Tiling>
void multiply(Team& team, const GemmArguments& g) {
  // The share of the slowest thread, in tiles, when rows or columns are divided.
  const int64_t threads = team.size();
  const int64_t tilesDown = ceilDivide(g.m, Tiling::kRows), tilesAcross = ceilDivide(g.n, Tiling::kColumns);
  const int64_t byRows = ceilDivide(tilesDown, threads) * tilesAcross;
  const int64_t byColumns = tilesDown * ceilDivide(tilesAcross, threads);
  if (byRows <= byColumns + byColumns / 16) {
    shareColumns<Tiling>(team, g);
  } else {
    team.split(g.n, Tiling::kColumns, [&](int64_t begin, int64_t end, int thread) {
      ownColumns<Tiling>(team, thread, g, begin, end);
    });
  }
}

// Calls body with the tiling for the types of the operands.
template <typename Body>
void withTiling([[maybe_unused]] const Team& team, const GemmArguments& g, const Body& body) {
  using Float = FloatUnits<float>;
  using Half = FloatUnits<bfloat16>;
  const bool a16 = g.a.dtype == DType::bfloat16, b16 = g.b.dtype == DType::bfloat16;
  if (a16 && b16) {
#if defined(BRAID_HAS_TILES)
    if (team.hasTiles()) return body(TileTiling{});
#endif
#if defined(__AVX512BF16__)
    return body(RegisterTiling<PairUnits, PairUnits>{});
#else
    return body(RegisterTiling<Half, Half>{});
#endif
  }
  if (a16) return body(RegisterTiling<Half, Float>{});
  if (b16) return body(RegisterTiling<Float, Half>{});
  body(RegisterTiling<Float, Float>{});
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
  withTiling(team, g, [&](auto tiling) { multiply<decltype(tiling)>(team, g); });
}

void gemmSerial(Team& team, int thread, const GemmArguments& g) {
  if (g.k <= 0) return finishEmpty(g);
  if (fewRows(g)) {
    multiplyFewRows(g, 0, g.n);
    return;
  }
  withTiling(team, g, [&](auto tiling) { ownColumns<decltype(tiling)>(team, thread, g, 0, g.n); });
}

}  // namespace braid::BRAID_VARIANT
