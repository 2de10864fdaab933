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

// `count` lines in at least `parts` equal blocks of whole panels, such that a block has about `most` units and `threads`
// threads get equally many.
int64_t blockOfLines(int64_t count, int64_t width, int64_t units, int64_t most, int64_t parts = 1, int64_t threads = 1) {
  const int64_t panels = ceilDivide(count, width);
  const int64_t fitting = larger(most / (units * width), 1);
  const int64_t blocks = larger(ceilDivide(panels, fitting), smaller(parts, panels));
  return ceilDivide(panels, ceilDivide(blocks, threads) * threads) * width;
}

// A block of b, packed: columns column … column + columns − 1 and k from k0.
struct RightBlock {
  int64_t column, columns, k0, k;
  const float* packed;
};

// Some rows of a, as far as a block of b has k: the first ones are read where they stand, the others are packed.
struct LeftRows {
  int64_t begin, end, endInPlace;
  const float* packed;
};

// A tile's place in c.
struct RowPart {
  int64_t row, column, rows, columns;
  bool first;  // of the blocks of k
};

// One tile of the product of two panels, added to or put into c.
template <typename Tiling>
void multiplyPanels(const GemmArguments& g, const RowPart& part, const Ahead& ahead, int64_t units, const LeftPanel& left,
                    const float* right) {
  const bool plain = g.cType == DType::float32 && !(part.first && (g.bias || g.addend));
  if (plain && Tiling::writesInPlace(part.rows, part.columns)) {
    float* c = static_cast<float*>(g.c) + part.row * g.cStride + part.column;
    const Place place{c, g.cStride, !part.first || g.accumulate};
    return Tiling::multiply(part.rows, part.columns, units, left, right, ahead, place);
  }
  alignas(64) float tile[Tiling::kRows * Tiling::kColumns];
  Tiling::multiply(part.rows, part.columns, units, left, right, ahead, {tile, Tiling::kColumns, false});
  finish(g, tile, Tiling::kColumns, part.row, part.column, part.rows, part.columns, part.first);
}

// Tiles that are computed one after the other: some panels of b with all rows of a piece.
struct Group {
  int64_t firstColumn, endColumn;
  bool fresh;  // whether this thread reads the rows that are not packed for the first time
};

// What is fetched while the tile at `row` and column j is computed: the next tile's place in c, and a share of the next
// panel of a.
template <typename Tiling>
Ahead aheadOf(const GemmArguments& g, const RightBlock& right, const LeftRows& rows, const Group& group, int64_t row,
              int64_t j) {
  const int64_t below = row + Tiling::kRows, beside = j + Tiling::kColumns;
  const bool turns = beside >= group.endColumn;
  const int64_t nextRow = turns ? below : row, next = turns ? group.firstColumn : beside;
  const int64_t size = static_cast<int64_t>(byteSize(g.cType));
  Ahead ahead;
  ahead.at = static_cast<const char*>(g.c) + (nextRow * g.cStride + right.column + next) * size;
  ahead.rows = larger(smaller(rows.end - nextRow, Tiling::kRows), 0);
  ahead.stride = g.cStride * size;
  ahead.second = (smaller(group.endColumn - next, Tiling::kColumns) - 1) * size;
  if (group.fresh && below < rows.endInPlace) {
    const int64_t wide = group.endColumn - group.firstColumn;
    const int64_t from = Tiling::kRows * (j - group.firstColumn) / wide;
    const int64_t to = Tiling::kRows * smaller(beside - group.firstColumn, wide) / wide;
    const LeftPanel panel = Tiling::panelInPlace(rowsOf(g.a), below + from, right.k0);
    ahead.left = reinterpret_cast<const char*>(panel.data);
    ahead.leftRows = to - from;
    ahead.leftBytes = panel.rowBytes;
  }
  return ahead;
}

// Rows [begin, end) of a for k from k0. What the inner kernel cannot read where it stands is packed into `memory`.
template <typename Tiling>
LeftRows packRows(const GemmArguments& g, int64_t begin, int64_t end, int64_t k0, int64_t k, float* memory) {
  const bool inPlace = Tiling::readsInPlace(rowsOf(g.a), k);
  const int64_t packed = inPlace ? begin + (end - begin) / Tiling::kRows * Tiling::kRows : begin;
  if (packed < end) Tiling::packLeft(rowsOf(g.a), packed, end - packed, k0, k, memory);
  return {begin, end, packed, memory};
}

// Columns [first, last) of a block of b times some rows of a. A group of panels of b is small enough for the second-level
// cache, beside a, and is used with all rows before the next. Rows of c are written in pieces as long as a group is wide.
template <typename Tiling>
void multiplyRows(const GemmArguments& g, const RightBlock& right, const LeftRows& rows, int64_t first, int64_t last) {
  const int64_t units = Tiling::unitsOf(right.k);
  const int64_t wide = larger(kGroupUnits / (units * Tiling::kColumns), 4) * Tiling::kColumns;
  [[maybe_unused]] const typename Tiling::Session session{};
  for (int64_t column = first; column < last; column += wide) {
    const Group group{column, smaller(last, column + wide), column == first};
    for (int64_t row = rows.begin; row < rows.end; row += Tiling::kRows) {
      const LeftPanel left = row < rows.endInPlace
                                 ? Tiling::panelInPlace(rowsOf(g.a), row, right.k0)
                                 : Tiling::packedPanel(rows.packed + (row - rows.endInPlace) * units);
      for (int64_t j = column; j < group.endColumn; j += Tiling::kColumns) {
        const RowPart part{row, right.column + j, smaller(rows.end - row, Tiling::kRows),
                           smaller(last - j, Tiling::kColumns), right.k0 == 0};
        const Ahead ahead = aheadOf<Tiling>(g, right, rows, group, row, j);
        multiplyPanels<Tiling>(g, part, ahead, units, left, right.packed + j * units);
      }
    }
  }
}

// Bytes of `lines` packed lines, whole panels of `width`, for `units` of k.
size_t packedBytes(int64_t lines, int64_t width, int64_t units) {
  return static_cast<size_t>(ceilDivide(lines, width) * width * units) * sizeof(float);
}

float* scratchOf(Team& team, int thread, size_t bytes, Scratch kind) {
  return reinterpret_cast<float*>(team.scratch(thread, bytes, kind));
}

// The threads pack a block of b together, several blocks of k where it is not wide, and then take pieces of rows and columns
// as they come. A piece goes through its blocks of k, so that its part of c stays in a cache.
template <typename Tiling>
void shareBlocks(Team& team, const GemmArguments& g) {
  const int64_t threads = team.size();
  const int64_t kBlock = blockOfK<Tiling>(g), most = Tiling::unitsOf(kBlock);
  const int64_t nBlock = blockOfLines(g.n, Tiling::kColumns, most, kRightUnits);
  const int64_t fitting = larger(Tiling::kSharedUnits / (nBlock * most), 1);
  const int64_t kBlocks = smaller(fitting, ceilDivide(g.k, kBlock)), kMost = kBlocks * kBlock;
  // Without packing a piece may have a part of the columns only, for it costs nothing to take its rows again.
  const bool inPlace = Tiling::readsInPlace(rowsOf(g.a), g.k);
  const int64_t wide = inPlace ? blockOfLines(nBlock, Tiling::kColumns, most, kGroupUnits) : nBlock;
  const int64_t mBlock = blockOfLines(g.m, Tiling::kRows, most, Tiling::kLeftUnits,
                                      ceilDivide(kPiecesPerThread * threads, ceilDivide(nBlock, wide)), threads);
  const size_t leftBytes = packedBytes(mBlock, Tiling::kRows, most);
  float* packed = scratchOf(team, 0, packedBytes(nBlock, Tiling::kColumns, most * kBlocks), Scratch::gemmShared);
  for (int64_t column = 0; column < g.n; column += nBlock) {
    const int64_t columns = smaller(g.n - column, nBlock);
    const int64_t padded = ceilDivide(columns, Tiling::kColumns) * Tiling::kColumns;
    for (int64_t k0 = 0; k0 < g.k; k0 += kMost) {
      const int64_t kEnd = smaller(g.k, k0 + kMost);
      const auto blockAt = [&](int64_t at) {
        return RightBlock{column, columns, at, smaller(kEnd - at, kBlock), packed + padded * Tiling::unitsOf(at - k0)};
      };
      const int64_t blocks = ceilDivide(kEnd - k0, kBlock);
      const int64_t parts = ceilDivide(kPiecesPerThread * threads, blocks);
      const int64_t some = blockOfLines(columns, Tiling::kColumns, 1, columns, parts);
      const int64_t down = ceilDivide(g.m, mBlock), across = ceilDivide(columns, wide);
      team.share(ceilDivide(columns, some) * blocks, 1, [&](int64_t piece, int64_t, int) {
        const RightBlock b = blockAt(k0 + piece % blocks * kBlock);
        const int64_t begin = piece / blocks * some;
        float* to = packed + (b.packed - packed) + begin * Tiling::unitsOf(b.k);
        Tiling::packRight(columnsOf(g.b), column + begin, smaller(columns - begin, some), b.k0, b.k, to);
      });
      team.share(across * down, 1, [&](int64_t piece, int64_t, int thread) {
        float* memory = scratchOf(team, thread, leftBytes, Scratch::gemm);
        const int64_t row = piece % down * mBlock, from = piece / down * wide;
        for (int64_t at = k0; at < kEnd; at += kBlock) {
          const RightBlock right = blockAt(at);
          const LeftRows rows = packRows<Tiling>(g, row, smaller(g.m, row + mBlock), at, right.k, memory);
          multiplyRows<Tiling>(g, right, rows, from, smaller(columns, from + wide));
        }
      });
    }
  }
}

// Columns [first, last), on one thread, which packs everything itself.
template <typename Tiling>
void ownColumns(Team& team, int thread, const GemmArguments& g, int64_t first, int64_t last) {
  const int64_t kBlock = blockOfK<Tiling>(g), most = Tiling::unitsOf(kBlock);
  const int64_t nBlock = blockOfLines(last - first, Tiling::kColumns, most, kRightUnits);
  const int64_t mBlock = blockOfLines(g.m, Tiling::kRows, most, Tiling::kLeftUnits);
  const size_t leftBytes = packedBytes(mBlock, Tiling::kRows, most);
  float* left = scratchOf(team, thread, leftBytes + packedBytes(nBlock, Tiling::kColumns, most), Scratch::gemm);
  float* packed = left + leftBytes / sizeof(float);
  for (int64_t column = first; column < last; column += nBlock) {
    for (int64_t k0 = 0; k0 < g.k; k0 += kBlock) {
      const RightBlock right{column, smaller(last - column, nBlock), k0, smaller(g.k - k0, kBlock), packed};
      Tiling::packRight(columnsOf(g.b), column, right.columns, k0, right.k, packed);
      for (int64_t row = 0; row < g.m; row += mBlock) {
        const LeftRows rows = packRows<Tiling>(g, row, smaller(g.m, row + mBlock), k0, right.k, left);
        multiplyRows<Tiling>(g, right, rows, 0, right.columns);
      }
    }
  }
}

// Few rows: they are packed once by all threads together, some blocks of k at a time. Every thread then packs its own columns
// of b, as many as its second-level cache holds.
template <typename Tiling>
void shareColumns(Team& team, const GemmArguments& g, int64_t own) {
  const int64_t kBlock = blockOfK<Tiling>(g), most = Tiling::unitsOf(kBlock);
  const int64_t fitting = larger(kRightUnits / (g.m * most), 1);
  const int64_t kBlocks = smaller(fitting, ceilDivide(g.k, kBlock)), kMost = kBlocks * kBlock;
  const int64_t padded = ceilDivide(g.m, Tiling::kRows) * Tiling::kRows;
  const bool inPlace = Tiling::readsInPlace(rowsOf(g.a), g.k) && g.m % Tiling::kRows == 0;
  const size_t leftBytes = inPlace ? 0 : packedBytes(g.m, Tiling::kRows, most * kBlocks);
  float* left = scratchOf(team, 0, leftBytes, Scratch::gemmShared);
  const size_t rightBytes = packedBytes(own, Tiling::kColumns, most);
  for (int64_t k0 = 0; k0 < g.k; k0 += kMost) {
    const int64_t kEnd = smaller(g.k, k0 + kMost);
    const auto packedAt = [&](int64_t at) { return left + padded * Tiling::unitsOf(at - k0); };
    const int64_t blocks = ceilDivide(kEnd - k0, kBlock);
    const int64_t some = blockOfLines(g.m, Tiling::kRows, 1, g.m, ceilDivide(kPiecesPerThread * team.size(), blocks));
    team.share(inPlace ? 0 : ceilDivide(g.m, some) * blocks, 1, [&](int64_t piece, int64_t, int) {
      const int64_t at = k0 + piece % blocks * kBlock, k = smaller(kEnd - at, kBlock), row = piece / blocks * some;
      float* to = packedAt(at) + row * Tiling::unitsOf(k);
      Tiling::packLeft(rowsOf(g.a), row, smaller(g.m - row, some), at, k, to);
    });
    team.share(g.n, own, [&](int64_t begin, int64_t end, int thread) {
      float* packed = scratchOf(team, thread, rightBytes, Scratch::gemm);
      for (int64_t at = k0; at < kEnd; at += kBlock) {
        const RightBlock right{begin, end - begin, at, smaller(kEnd - at, kBlock), packed};
        Tiling::packRight(columnsOf(g.b), begin, right.columns, at, right.k, packed);
        multiplyRows<Tiling>(g, right, {0, g.m, inPlace ? g.m : 0, packedAt(at)}, 0, right.columns);
      }
    });
  }
}

template <typename Tiling>
void multiply(Team& team, const GemmArguments& g) {
  const int64_t threads = team.size(), most = Tiling::unitsOf(blockOfK<Tiling>(g));
  const int64_t down = ceilDivide(g.m, Tiling::kRows), across = ceilDivide(g.n, Tiling::kColumns);
  const int64_t own = blockOfLines(g.n, Tiling::kColumns, most, kGroupUnits, kPiecesPerThread * threads);
  const bool few = down < 2 * kPiecesPerThread * threads && down <= across;
  // Where rows cost nothing to take again, or little beside the columns of a piece, every piece takes both for itself, and
  // nobody waits for anybody.
  const bool inPlace = Tiling::readsInPlace(rowsOf(g.a), g.k) && ceilDivide(g.n, own) > 2 * kPiecesPerThread * threads;
  const bool little = few && 2 * down * Tiling::kColumns <= own;
  if (inPlace || little) {
    team.share(g.n, own, [&](int64_t begin, int64_t end, int thread) { ownColumns<Tiling>(team, thread, g, begin, end); });
  } else if (few) {
    shareColumns<Tiling>(team, g, own);
  } else {
    shareBlocks<Tiling>(team, g);
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
