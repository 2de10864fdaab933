// What forward and backward attention share where the matrix unit multiplies: operands rounded to bfloat16 and laid out for
// it, and the small changes of order that save instructions.
//   Keys are weighed 32 at a time, together with 32 slots. Key j of such a step is paired with key j + 16, so that two rows of
//   rounded weights become an operand by one instruction each (`pairRows`); values and keys are packed in that order.
//   That instruction works inside quarters of a register, so that the sums come out with their columns turned (`slotOf`).
#pragma once
#include "attentionTile.hpp"
#include "tilePairs.hpp"

#if defined(BRAID_HAS_TILES)

namespace braid::BRAID_VARIANT {

static_assert(kSlots == 2 * kStep, "blocks must be whole steps");

inline bool any(const i32x16& mask) { return _mm512_movepi32_mask((__m512i)mask) != 0; }
inline bool all(const i32x16& mask) { return _mm512_movepi32_mask((__m512i)mask) == 0xffff; }

// The keys of a block in whole steps, without those at its ends that no slot of one half of a tile sees.
struct Steps {
  int64_t half, begin, end;

  Steps(const Tile& tile, int64_t half, int64_t first, int64_t last) : half(half), begin(first), end(roundUp(last, kStep)) {
    const Reach& reach = tile.halves[half];
    while (begin < end && reach.none(begin, kStep, tile.sinks)) begin += kStep;
    while (begin < end && reach.none(end - kStep, kStep, tile.sinks)) end -= kStep;
  }
};

// The slot whose sums stand in a column.
inline int64_t slotOf(int64_t column) {
  return column / kStep * kStep + column % kWidth / 4 * 8 + column / kWidth % 2 * 4 + column % 4;
}

// 2ˣ to 2⁻¹³·⁷, for weights that are rounded to bfloat16 (2⁻⁹) anyway: x = n + r with 0 ≤ r < 1, and a polynomial for 2ʳ of
// least relative error (Remez). −∞ gives 0, a large number infinity.
inline f32x16 exp2Short(const f32x16& x) {
  constexpr int kDown = 0x09;  // what is above the next lower integer
  const f32x16 r = (f32x16)_mm512_reduce_ps((__m512)x, kDown);
  const f32x16 p = ((r * 0.07802452147006989f + 0.22606715559959412f) * r + 0.6958335638046265f) * r + 0.9999251961708069f;
  return (f32x16)_mm512_scalef_ps((__m512)p, (__m512)x);
}

// Sixteen slots (lanes) of two neighbouring vectors, rounded: 32 bfloat16 numbers in order.
inline __m512i roundTwo(const f32x16& first, const f32x16& second) {
  return (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
}

// Rows of rounded weights of two keys become pairs, as columns 0 … 15 and 16 … 31 of `slotOf`.
inline void pairRows(__m512i early, __m512i late, float* to) {
  _mm512_storeu_si512(to, _mm512_unpacklo_epi16(early, late));
  _mm512_storeu_si512(to + kWidth, _mm512_unpackhi_epi16(early, late));
}

// Features i … i + 31 of a row that has `width`, times a factor, as 16 pairs.
inline f32x16 featurePairs(const Source& from, int64_t row, int64_t i, int64_t width, float factor) {
  const int64_t low = std::clamp<int64_t>(width - i, 0, kWidth), high = std::clamp<int64_t>(width - i - kWidth, 0, kWidth);
  const f32x16 first = low > 0 ? from.load(row + i, low) * factor : zero();
  const f32x16 second = high > 0 ? from.load(row + i + kWidth, high) * factor : zero();
  return (f32x16)roundTwo(first, second);
}

// A number as the sum of three bfloat16 numbers, in two pairs: what is left out is below 2⁻²⁴ of it.
inline void threeParts(const f32x16& x, float* first, float* second) {
  const i32x16 high = roundedBits(x) & 0xffff;
  const f32x16 rest = x - asFloat(high << 16);
  const i32x16 middle = roundedBits(rest) & 0xffff;
  const i32x16 low = roundedBits(rest - asFloat(middle << 16)) & 0xffff;
  store(first, asFloat(high | (middle << 16)));
  store(second, asFloat(low));
}

struct PairSizes {
  int64_t capacity;        // keys, and a step of zeros behind them
  int64_t eDepth, fDepth;  // head sizes as depths of a product
  // Whether the depths leave room for a number per slot that the products then subtract: four more features, in which keys
  // and values are 1, 1, 1, 0.
  bool folded;

  explicit PairSizes(const Attention& a)
      : capacity(roundUp(a.keys, kStep) + kStep),
        eDepth(roundUp(a.e, 32)),
        fDepth(roundUp(a.f, 32)),
        folded(eDepth - roundUp(a.e, 2) >= 4 && fDepth - roundUp(a.f, 2) >= 4) {}
};

// Keys and values of one key-value head, rounded once for all its tiles.
class PairUnit {
 public:
  PairUnit(const Attention& a, const PairSizes& sizes, int64_t row, int64_t group) : a_(a), z_(sizes), row_(row), group_(group) {}

  // As rows of `depth` features.
  void rows(const Source& from, int64_t width, int64_t depth, bfloat16* to) const {
    constexpr bfloat16 kOne = {0x3f80};
    for (int64_t key = 0; key < end(); key++, to += depth) {
      for (int64_t i = 0; i < width; i += kStep) from.prefetch(at(key + kAhead, width) + i);
      for (int64_t i = 0; i < depth; i += kStep) store(reinterpret_cast<float*>(to + i), pairs(from, width, key, i));
      if (z_.folded) std::fill_n(to + roundUp(width, 2), 3, kOne);
    }
  }

  // As columns, to[i · capacity + key], the keys of every step in the order 0, 16, 1, 17, …
  void columns(const Source& from, int64_t width, bfloat16* to) const {
    for (int64_t key = 0; key < end(); key += kStep) {
      for (int64_t i = 0; i < width; i += kStep) {
        f32x16 early[kWidth], late[kWidth];
        for (int64_t j = 0; j < kWidth; j++) {
          early[j] = pairs(from, width, key + j, i);
          late[j] = pairs(from, width, key + kWidth + j, i);
        }
        transpose(early);
        transpose(late);
        const int64_t features = std::min(kStep, padded(width) - i);
        for (int64_t d = 0; 2 * d < features; d++) {
          const i32x16 first = asInt(early[d]), second = asInt(late[d]);
          bfloat16* column = to + (i + 2 * d) * z_.capacity + key;
          store(reinterpret_cast<int32_t*>(column), (first & 0xffff) | (second << 16));
          store(reinterpret_cast<int32_t*>(column + z_.capacity), ((first >> 16) & 0xffff) | (second & ~0xffff));
        }
      }
    }
  }

 private:
  static constexpr int64_t kAhead = 16;  // keys that are asked for before they are read

  int64_t at(int64_t key, int64_t width) const { return ((row_ * a_.keys + key) * a_.groups + group_) * width; }
  // Keys of this row that any query may see, and those of a step behind them.
  int64_t limit() const { return a_.used ? a_.used[row_] + a_.length : a_.keys; }
  int64_t end() const { return roundUp(limit(), kStep) + kStep; }
  f32x16 pairs(const Source& from, int64_t width, int64_t key, int64_t i) const {
    if (key >= limit()) return zero();
    return featurePairs(from, at(key, width), i, width, 1);
  }

  const Attention& a_;
  const PairSizes& z_;
  const int64_t row_, group_;
};

// Slots of a tile in whole steps.
inline int64_t slotsOf(const Tile& tile) { return roundUp(tile.count, kStep); }

// A tile's rows as the right operand of scores: to[(i / 2) · kSlots + slot] = features i and i + 1.
inline void featuresBySlot(const Tile& tile, const Source& from, int64_t width, int64_t depth,
                           float factor, float* to) {
  for (int64_t first = 0; first < slotsOf(tile); first += kWidth) {
    for (int64_t i = 0; i < depth; i += kStep) {
      f32x16 block[kWidth];
      for (int64_t s = 0; s < kWidth; s++) {
        block[s] = first + s < tile.count ? featurePairs(from, tile.offset(first + s, width), i, width, factor) : zero();
      }
      transpose(block);
      for (int64_t d = 0; d < kWidth; d++) store(to + (i / 2 + d) * kSlots + first, block[d]);
    }
  }
}

// A tile's rows as the right operand of sums over slots: to[(slot / 2) · padded(width) + i] = slots s and s + 1.
inline void slotsByFeature(const Tile& tile, const Source& from, int64_t width, float factor, float* to) {
  for (int64_t s = 0; s < slotsOf(tile); s += 2, to += padded(width)) {
    forVectors(0, width, [&](int64_t i, int64_t n) {
      const f32x16 even = s < tile.count ? from.load(tile.offset(s, width) + i, n) * factor : zero();
      const f32x16 odd = s + 1 < tile.count ? from.load(tile.offset(s + 1, width) + i, n) * factor : zero();
      store(to + i, pairsOf(even, odd));
    });
  }
}

// The number per slot that a folded product subtracts, put behind the `width` features of sixteen slots.
inline void foldShift(const f32x16& shift, int64_t width, int64_t slot, float* features) {
  float* first = features + roundUp(width, 2) / 2 * kSlots + slot;
  threeParts(-shift, first, first + kSlots);
}

// Columns of sums, times a factor per slot, as rows of a tensor.
inline void unpackTurned(const Tile& tile, const float* from, const float* factors, int64_t width,
                         const Sink& to) {
  for (int64_t first = 0; first < slotsOf(tile); first += kWidth) {
    float turned[kWidth];
    for (int64_t s = 0; s < kWidth; s++) turned[s] = factors[slotOf(first + s)];
    const f32x16 factor = load(turned);
    for (int64_t i = 0; i < width; i += kWidth) {
      const int64_t features = std::min<int64_t>(kWidth, width - i);
      f32x16 block[kWidth];
      for (int64_t j = 0; j < kWidth; j++) block[j] = j < features ? load(from + (i + j) * kSlots + first) * factor : zero();
      transpose(block);
      for (int64_t s = 0; s < kWidth; s++) {
        const int64_t slot = slotOf(first + s);
        if (slot < tile.count) to.store(tile.offset(slot, width) + i, block[s], features);
      }
    }
  }
}

inline bfloat16* takeHalves(Pieces& pieces, int64_t count) { return reinterpret_cast<bfloat16*>(pieces.take(count / 2)); }

}  // namespace braid::BRAID_VARIANT

#endif
