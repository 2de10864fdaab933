// What both directions of the scan of Mamba-2 share where its products run on the matrix unit: operands in bfloat16, in the
// layouts that the unit reads, and the steps and decays of a head.
//
// Positions are rows here, and states are turned to [N, P], so that nothing that belongs to a head need be turned on its way
// into a product. The decay between two positions of different blocks of sixteen is a product of decays, each at most 1: from
// the one to the end of its block, over the blocks between, and from the beginning of its block to the other. Only inside
// a block are there exponentials of sums. Nothing is divided by a decay, so documents (decay 0) need no care.
#pragma once
#include "ssd.hpp"
#include "tilePairs.hpp"

#if defined(BRAID_HAS_TILES)

namespace braid::BRAID_VARIANT {

constexpr int64_t kTileStrip = 32;  // positions whose weights are made and used at a time

inline int64_t wholeSteps(int64_t n) { return (n + 31) / 32 * 32; }

// Sizes in whole steps of the matrix unit.
struct TileSizes {
  int64_t positions, width, states;  // of a chunk, P, N

  explicit TileSizes(const Ssd& s)
      : positions(wholeSteps(s.chunk)), width(wholeSteps(s.width)), states(wholeSteps(s.states)) {}
  int64_t stateSize() const { return states * width; }
};

// Whether products of bfloat16 numbers are wanted and worth their padding.
inline bool onTiles(const Ssd& s, const Team& team) {
  return team.hasTiles() && s.chunk >= kWidth && (s.x.half() || s.b.half() || s.c.half());
}

inline bfloat16* takeHalves(Pieces& pieces, int64_t count) { return reinterpret_cast<bfloat16*>(pieces.take(count / 2)); }
inline const float* wordsOf(const bfloat16* rows) { return reinterpret_cast<const float*>(rows); }

// Rows of a tensor in bfloat16, with zeros up to whole steps. The same rows `ahead` elements further on, those of the next
// head, are fetched meanwhile: short pieces far from each other are nothing that the hardware foresees.
inline void takeRows(const Source& from, int64_t at, int64_t stride, int64_t rows, int64_t width, bfloat16* to, int64_t ahead) {
  const int64_t toWidth = wholeSteps(width), toRows = wholeSteps(rows), line = from.half() ? 32 : 16;
  for (int64_t row = 0; row < toRows; row++, at += stride) {
    if (row < rows) {
      for (int64_t i = 0; i < width; i += line) from.prefetch(at + ahead + i);
    }
    for (int64_t i = 0; i < toWidth; i += kWidth, to += kWidth) {
      store(to, row < rows && i < width ? from.load(at + i, std::min<int64_t>(kWidth, width - i)) : zero());
    }
  }
}

// to[column · toStride + row] = from[row · fromStride + column], of 32 bits each; both counts are multiples of 16.
inline void turnWords(const float* from, int64_t fromStride, int64_t rows, int64_t columns, float* to, int64_t toStride) {
  for (int64_t row = 0; row < rows; row += kWidth) {
    for (int64_t column = 0; column < columns; column += kWidth) {
      f32x16 block[kWidth];
      for (int64_t i = 0; i < kWidth; i++) block[i] = load(from + (row + i) * fromStride + column);
      transpose(block);
      for (int64_t i = 0; i < kWidth; i++) store(to + (column + i) * toStride + row, block[i]);
    }
  }
}

// to[(row / 2) · width + i]: element i of two rows after each other. Rows and width are whole steps.
inline void pairRows(const bfloat16* from, int64_t stride, int64_t rows, int64_t width, float* to) {
  static constexpr uint16_t kLow[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                        8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_loadu_si512(kLow), high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  for (int64_t row = 0; row < rows; row += 2, from += 2 * stride) {
    for (int64_t i = 0; i < width; i += 32, to += 32) {
      const __m512i even = _mm512_loadu_si512(from + i), odd = _mm512_loadu_si512(from + stride + i);
      _mm512_storeu_si512(to, _mm512_permutex2var_epi16(even, low, odd));
      _mm512_storeu_si512(to + kWidth, _mm512_permutex2var_epi16(even, high, odd));
    }
  }
}

// The same of rows times a factor each.
inline void pairScaledRows(const bfloat16* from, const float* factors, int64_t rows, int64_t width, float* to) {
  for (int64_t row = 0; row < rows; row += 2, from += 2 * width, to += width) {
    const f32x16 first = splat(factors[row]), second = splat(factors[row + 1]);
    for (int64_t i = 0; i < width; i += kWidth) {
      store(to + i, pairsOf(load(from + i) * first, load(from + width + i) * second));
    }
  }
}

// Sums of the lanes of sixteen vectors, a lane for each.
inline f32x16 sumsOf(f32x16 (&rows)[kWidth]) {
  transpose(rows);
  f32x16 total = rows[0];
  for (int i = 1; i < kWidth; i++) total += rows[i];
  return total;
}

// Lanes moved up (to later positions) or down, zeros behind them.
template <int Lanes>
inline f32x16 later(const f32x16& v) {
  return (f32x16)_mm512_alignr_epi32((__m512i)v, _mm512_setzero_si512(), kWidth - Lanes);
}
template <int Lanes>
inline f32x16 earlier(const f32x16& v) {
  return (f32x16)_mm512_alignr_epi32(_mm512_setzero_si512(), (__m512i)v, Lanes);
}
// Sums of each lane and all before it, or behind it.
inline f32x16 sumsUpTo(f32x16 v) {
  v += later<1>(v);
  v += later<2>(v);
  v += later<4>(v);
  return v + later<8>(v);
}
inline f32x16 sumsFrom(f32x16 v) {
  v += earlier<1>(v);
  v += earlier<2>(v);
  v += earlier<4>(v);
  return v + earlier<8>(v);
}

// dt of all heads of a share over a chunk, a row per head, and where documents start.
struct ChunkSteps {
  float *dt, *cut;
  int64_t stride;

  static int64_t floats(const Ssd& s) { return (s.perGroup + 1) * TileSizes(s).positions; }
  ChunkSteps(const Ssd& s, Pieces& pieces) : stride(TileSizes(s).positions) {
    dt = pieces.take(s.perGroup * stride);
    cut = pieces.take(stride);
  }

  void take(const Ssd& s, const Chunk& chunk, const Share& share) const {
    rowsToColumns(s.dt, chunk.token(s) * s.heads + share.firstHead, s.heads, chunk.count, share.endHead - share.firstHead, dt,
                  stride);
    std::fill(cut, cut + stride, 0.0f);
    if (!s.history.documents) return;
    for (int64_t i = 0; i < chunk.count; i++) {
      if (s.history.startsAfresh(chunk.batchRow, chunk.begin + i)) cut[i] = -__builtin_inff();
    }
  }
};

// Steps and decays of one head over a chunk. Behind its last position Δ is zero and decays are 1.
struct HeadSteps {
  float *delta, *slope;  // Δ, dΔ/d(dt)
  float* log;            // Δ A: logarithm of the decay over a position
  float *rise, *fall;    // decay from the beginning of the block up to and with a position; from after it to the block's end
  float *enter, *leave;  // the same of the chunk
  float* block;          // decay over a block
  float whole;           // over the whole chunk
  float rate;            // A

  static int64_t floats(const Ssd& s) { return 8 * TileSizes(s).positions; }
  HeadSteps(const Ssd& s, Pieces& pieces) : whole(0), rate(0) {
    for (float** piece : {&delta, &slope, &log, &rise, &fall, &enter, &leave, &block}) {
      *piece = pieces.take(TileSizes(s).positions);
    }
  }

  void take(const Ssd& s, const Chunk& chunk, const ChunkSteps& steps, int64_t head, int64_t row) {
    rate = -std::exp(s.aLog.at(head));
    const int64_t end = wholeSteps(chunk.count);
    const float* raw = steps.dt + row * steps.stride;
    const float bias = s.dtBias.at(head);
    for (int64_t i = 0; i < end; i += kWidth) bound(s, load(raw + i) + bias, chunk.count - i, steps.cut, i);
    whole = 1;
    for (int64_t i = 0; i < end; i += kWidth) {
      store(enter + i, load(rise + i) * whole);
      whole *= block[i / kWidth];
    }
    float rest = 1;
    for (int64_t i = end - kWidth; i >= 0; i -= kWidth) {
      store(leave + i, load(fall + i) * rest);
      rest *= block[i / kWidth];
    }
  }

 private:
  void bound(const Ssd& s, const f32x16& raw, int64_t present, const float* cut, int64_t i) {
    f32x16 steep;
    const f32x16 size = softplus(raw, steep);
    const i32x16 below = size < s.low, above = size > s.high, exists = lanesFrom(0) < static_cast<int32_t>(present);
    const f32x16 bounded = select(below, splat(s.low), select(above, splat(s.high), size));
    const f32x16 own = select(exists, bounded, zero());
    const f32x16 logs = own * rate + load(cut + i);
    const f32x16 risen = exp(sumsUpTo(logs));
    store(delta + i, own);
    store(slope + i, select(exists & ~(below | above), steep, zero()));
    store(log + i, logs);
    store(rise + i, risen);
    store(fall + i, exp(sumsFrom(earlier<1>(logs))));
    block[i / kWidth] = rise[i + kWidth - 1];
  }
};

// The calls `ssd` and `ssdBackward` but for what is left of the history.
void ssdOnTiles(const Call& call, const Ssd& s);

}  // namespace braid::BRAID_VARIANT

#endif
