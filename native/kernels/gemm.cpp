// The packed matrix product. b is packed in blocks that all threads share, a in blocks that fit one thread's second-level
// cache, unless the inner kernel reads it where it stands; the tiles of a block pair are computed one by one. Which thread
// computes a piece depends on who is free, what it computes does not.
//   K. Goto, R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34 (2008).
#include "gemm.hpp"

#include "gemmFew.hpp"
#include "gemmFinish.hpp"
#include "gemmTile.hpp"
#include "gemmTileMatrix.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int64_t kLeftUnits = 128 * 1024;        // of a packed block of a: 512 KiB
constexpr int64_t kRightUnits = 2 * 1024 * 1024;  // of a packed block of b that all threads share: 8 MiB
constexpr int64_t kGroupUnits = 192 * 1024;       // of panels of b that are used in turn with each panel of a: 768 KiB
constexpr int64_t kPiecesPerThread = 4;           // threads are not equally fast: small pieces even that out

int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// k in equal blocks, whole steps each. A result that is rounded must not be rounded once per block: it takes k as a whole.
template <typename Tiling>
int64_t blockOfK(const GemmArguments& g) {
  const int64_t perStep = Tiling::kPerUnit * Tiling::kUnitsPerStep, steps = ceilDivide(g.k, perStep);
  if (g.cType == DType::bfloat16) return steps * perStep;
  return ceilDivide(steps, ceilDivide(steps * Tiling::kUnitsPerStep, Tiling::kUnitsPerBlock)) * perStep;
}

// `count` lines in at least `parts` equal blocks of whole panels, such that a block has about `most` units.
int64_t blockOfLines(int64_t count, int64_t width, int64_t units, int64_t most, int64_t parts = 1) {
  const int64_t panels = ceilDivide(count, width);
  const int64_t fitting = larger(most / (units * width), 1);
  return ceilDivide(panels, larger(ceilDivide(panels, fitting), smaller(parts, panels))) * width;
}

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

// One tile of the product of two panels, added to or put into c.
template <typename Tiling>
void multiplyTile(const GemmArguments& g, const RowPart& part, const Ahead& ahead, int64_t units, const LeftPanel& left,
                  const float* right) {
  const bool whole = part.rows == Tiling::kRows && part.columns == Tiling::kColumns;
  if constexpr (Tiling::kInPlace) {
    const bool adds = !part.first || g.accumulate;
    if (whole && g.cType == DType::float32 && !(part.first && (g.bias || g.addend))) {
      float* c = static_cast<float*>(g.c) + part.row * g.cStride + part.column;
      return Tiling::multiplyInPlace(units, left, right, ahead, c, g.cStride, adds);
    }
  }
  alignas(64) float tile[Tiling::kRows * Tiling::kColumns];
  Tiling::multiply(part.rows, units, left, right, ahead, tile);
  finish(g, tile, Tiling::kColumns, part.row, part.column, part.rows, part.columns, part.first);
}

// Tiles that are computed one after the other: some panels of b with all rows of a piece.
struct Group {
  int64_t firstRow, endRow, firstColumn, endColumn;
  int64_t endInPlace;  // of the rows that are read where they stand
  bool fresh;          // whether this thread reads those rows for the first time
};

// What is fetched while the tile at `row` and column j is computed: the next tile's place in c, and a share of the next
// panel of a.
template <typename Tiling>
Ahead aheadOf(const GemmArguments& g, const RightBlock& right, const Group& group, int64_t row, int64_t j) {
  const int64_t below = row + Tiling::kRows, beside = j + Tiling::kColumns;
  const bool turns = beside >= group.endColumn;
  const int64_t nextRow = turns ? below : row, next = turns ? group.firstColumn : beside;
  const int64_t size = static_cast<int64_t>(byteSize(g.cType));
  Ahead ahead;
  ahead.at = static_cast<const char*>(g.c) + (nextRow * g.cStride + right.column + next) * size;
  ahead.rows = smaller(group.endRow - nextRow, Tiling::kRows);
  ahead.stride = g.cStride * size;
  ahead.second = (smaller(group.endColumn - next, Tiling::kColumns) - 1) * size;
  if (group.fresh && below < group.endInPlace) {
    const int64_t wide = group.endColumn - group.firstColumn;
    const int64_t from = Tiling::kRows * (j - group.firstColumn) / wide;
    const int64_t to = Tiling::kRows * smaller(beside - group.firstColumn, wide) / wide;
    ahead.left = reinterpret_cast<const char*>(Tiling::panelInPlace(rowsOf(g.a), below + from, right.k0).data);
    ahead.leftRows = to - from;
  }
  return ahead;
}

// Rows [begin, end) of the product with columns [first, last) of a block of b. A group of panels of b is small enough for
// the second-level cache, beside a, and is used with all rows before the next. Rows of c are written in pieces as long as a
// group is wide. Panels of a that the inner kernel can read where they stand are not packed.
template <typename Tiling>
void multiplyRows(const GemmArguments& g, const RightBlock& right, int64_t begin, int64_t end, int64_t first, int64_t last,
                  float* leftPacked) {
  const int64_t units = Tiling::unitsOf(right.k);
  const int64_t inPlace = Tiling::readsInPlace(rowsOf(g.a), right.k) ? (end - begin) / Tiling::kRows * Tiling::kRows : 0;
  const int64_t packed = begin + inPlace;
  if (packed < end) Tiling::packLeft(rowsOf(g.a), packed, end - packed, right.k0, right.k, leftPacked);
  const int64_t wide = larger(kGroupUnits / (units * Tiling::kColumns), 4) * Tiling::kColumns;
  [[maybe_unused]] const typename Tiling::Session session{};
  for (int64_t column = first; column < last; column += wide) {
    const Group group{begin, end, column, smaller(last, column + wide), packed, column == first};
    for (int64_t row = begin; row < end; row += Tiling::kRows) {
      const LeftPanel left = row < packed ? Tiling::panelInPlace(rowsOf(g.a), row, right.k0)
                                          : Tiling::packedPanel(leftPacked + (row - packed) * units);
      for (int64_t j = column; j < group.endColumn; j += Tiling::kColumns) {
        const RowPart part{row, right.column + j, smaller(end - row, Tiling::kRows),
                           smaller(last - j, Tiling::kColumns), right.k0 == 0};
        multiplyTile<Tiling>(g, part, aheadOf<Tiling>(g, right, group, row, j), units, left, right.packed + j * units);
      }
    }
  }
}

// The blocks of rows of a product whose columns are cut into `across` pieces.
template <typename Tiling>
int64_t blockOfRows(const GemmArguments& g, int64_t threads, int64_t across) {
  return blockOfLines(g.m, Tiling::kRows, Tiling::unitsOf(blockOfK<Tiling>(g)), kLeftUnits,
                      ceilDivide(kPiecesPerThread * threads, across));
}

// The threads pack a block of b together and then take pieces of rows and columns as they come.
template <typename Tiling>
void shareBlocks(Team& team, const GemmArguments& g) {
  const int64_t kBlock = blockOfK<Tiling>(g), most = Tiling::unitsOf(kBlock);
  const int64_t nBlock = blockOfLines(g.n, Tiling::kColumns, most, kRightUnits);
  // Without packing a piece may have a part of the columns only, for it costs nothing to take its rows again.
  const bool inPlace = Tiling::readsInPlace(rowsOf(g.a), g.k);
  const int64_t wide = inPlace ? blockOfLines(nBlock, Tiling::kColumns, most, kGroupUnits) : nBlock;
  const int64_t mBlock = blockOfRows<Tiling>(g, team.size(), ceilDivide(nBlock, wide));
  const size_t leftBytes = static_cast<size_t>(mBlock * most) * sizeof(float);
  const size_t rightBytes = static_cast<size_t>(nBlock * most) * sizeof(float);
  float* packed = reinterpret_cast<float*>(team.scratch(0, rightBytes, Scratch::gemmShared));
  for (int64_t column = 0; column < g.n; column += nBlock) {
    for (int64_t k0 = 0; k0 < g.k; k0 += kBlock) {
      const RightBlock right{column, smaller(g.n - column, nBlock), k0, smaller(g.k - k0, kBlock), packed};
      const int64_t units = Tiling::unitsOf(right.k);
      const int64_t some = blockOfLines(right.columns, Tiling::kColumns, 1, right.columns, kPiecesPerThread * team.size());
      team.share(right.columns, some, [&](int64_t begin, int64_t end, int) {
        Tiling::packRight(columnsOf(g.b), column + begin, end - begin, k0, right.k, packed + begin * units);
      });
      const int64_t across = ceilDivide(right.columns, wide), down = ceilDivide(g.m, mBlock);
      team.share(across * down, 1, [&](int64_t piece, int64_t, int thread) {
        float* left = reinterpret_cast<float*>(team.scratch(thread, leftBytes, Scratch::gemm));
        const int64_t row = piece % down * mBlock, from = piece / down * wide;
        multiplyRows<Tiling>(g, right, row, smaller(g.m, row + mBlock), from, smaller(right.columns, from + wide), left);
      });
    }
  }
}

// Columns [first, last), on one thread.
template <typename Tiling>
void ownColumns(Team& team, int thread, const GemmArguments& g, int64_t first, int64_t last) {
  const int64_t kBlock = blockOfK<Tiling>(g), most = Tiling::unitsOf(kBlock);
  const int64_t nBlock = blockOfLines(last - first, Tiling::kColumns, most, kRightUnits);
  const int64_t mBlock = blockOfRows<Tiling>(g, 1, kPiecesPerThread);
  const size_t leftBytes = static_cast<size_t>(mBlock * most) * sizeof(float);
  const size_t rightBytes = static_cast<size_t>(nBlock * most) * sizeof(float);
  std::byte* memory = team.scratch(thread, leftBytes + rightBytes, Scratch::gemm);
  float* left = reinterpret_cast<float*>(memory);
  float* packed = reinterpret_cast<float*>(memory + leftBytes);
  for (int64_t column = first; column < last; column += nBlock) {
    for (int64_t k0 = 0; k0 < g.k; k0 += kBlock) {
      const RightBlock right{column, smaller(last - column, nBlock), k0, smaller(g.k - k0, kBlock), packed};
      Tiling::packRight(columnsOf(g.b), column, right.columns, k0, right.k, packed);
      for (int64_t row = 0; row < g.m; row += mBlock) {
        multiplyRows<Tiling>(g, right, row, smaller(g.m, row + mBlock), 0, right.columns, left);
      }
    }
  }
}

template <typename Tiling>
void multiply(Team& team, const GemmArguments& g) {
  // Many columns and few rows: every thread packs its own columns of b, as many as its second-level cache holds, and nobody
  // waits for anybody. Rows are then taken again for every piece, which must cost nothing or little.
  const int64_t threads = team.size();
  const int64_t own = blockOfLines(g.n, Tiling::kColumns, Tiling::unitsOf(blockOfK<Tiling>(g)), kGroupUnits,
                                   g.m <= Tiling::kRows * threads ? threads : kPiecesPerThread * threads);
  const bool few = ceilDivide(g.m, Tiling::kRows) < kPiecesPerThread * threads;
  const bool inPlace = Tiling::readsInPlace(rowsOf(g.a), g.k) && ceilDivide(g.n, own) > 2 * kPiecesPerThread * threads;
  if (!few && !inPlace) return shareBlocks<Tiling>(team, g);
  team.share(g.n, own, [&](int64_t begin, int64_t end, int thread) { ownColumns<Tiling>(team, thread, g, begin, end); });
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
