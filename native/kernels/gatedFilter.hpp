// The inner filter of the gated convolution on rows of sixteen floats, in two kinds with the same functions: tap by tap in
// float32, anywhere; and as products of Toeplitz factors on the matrix unit, for programs that store the inputs in bfloat16
// (Ku et al. 2025, arXiv:2503.01868, section 3), where the sixteen channels share a filter.
//
// u and z point to the first position of a stretch. There are kBefore(g) valid rows before u; behind the last position of a
// stretch of outputs, or before that of the gradient's outputs, kPad rows that count as zero.
#pragma once
#include "filterSlide.hpp"
#include "gatedConvolution.hpp"
#include "tilePairs.hpp"

namespace braid::BRAID_VARIANT {

// Rows behind the last one of a stretch that an inner filter may read.
constexpr int64_t kPad = 64;

class DirectFilter {
 public:
  struct Session {};
  // Positions of a stretch: few enough for the first-level cache, many against those seen before them.
  static int64_t stretch(const Gated& g) { return g.reach <= 16 ? 32 : 128; }
  static int64_t before(const Gated& g) { return g.reach; }
  static int64_t floats(const Gated& g) { return 2 * g.tapCount * kWidth; }

  DirectFilter(const Gated& g, Pieces& pieces)
      : g_(g), taps_(pieces.take(g.tapCount * kWidth)), sums_(pieces.take(g.tapCount * kWidth)) {}

  void take(int64_t first) const {
    for (int64_t lane = 0; lane < kWidth; lane++) {
      const int64_t own = std::min(first + lane, g_.channels - 1) / g_.width * g_.tapCount;
      for (int64_t lag = 0; lag < g_.tapCount; lag++) taps_[lag * kWidth + lane] = g_.taps.at(own + lag);
    }
    std::fill(sums_, sums_ + g_.tapCount * kWidth, 0.0f);
  }

  // z = h ∗ u
  void apply(const float* u, int64_t count, float* z) const { run<-1>(u, count, z); }
  // du[s] = Σ taps[lag] · dz[s + lag], which reads as many rows behind the last as the filter reaches.
  void applyBack(const float* dz, int64_t count, float* du) const { run<1>(dz, count, du); }
  void addTaps(const float* dz, const float* u, int64_t count) const {
    addLagProducts(dz, u, count, g_.tapCount, sums_);
  }
  // Sums of the taps' gradients, [lag · stride + lane].
  void giveTaps(float* to, int64_t stride) const {
    for (int64_t lag = 0; lag < g_.tapCount; lag++) store(to + lag * stride, load(sums_ + lag * kWidth));
  }

 private:
  template <int Step>
  void run(const float* from, int64_t count, float* to) const {
    f32x16 sums[kSums];
    for (int64_t i = 0; i < count; i += kSums) {
      slide<kSums, Step>(taps_, g_.tapCount, from + i * kWidth, sums);
      for (int64_t r = 0; r < kSums && i + r < count; r++) store(to + (i + r) * kWidth, sums[r]);
    }
  }

  const Gated& g_;
  float *taps_, *sums_;
};

#if defined(BRAID_HAS_TILES)

#define BRAID_TILES __attribute__((target("amx-tile,amx-bf16")))

// Sums for 64 positions at a time, in blocks of 32: two tiles down. The factors are never built: their elements stand on
// diagonals, so a tile is read from the row of taps with every row starting one number before the one above it.
class TileFilter {
 public:
  using Session = TileTiling::Session;
  static int64_t stretch(const Gated&) { return kStretch; }
  static int64_t before(const Gated& g) { return (g.reach + kBlock - 1) / kBlock * kBlock; }
  static int64_t floats(const Gated& g) {
    const int64_t rows = before(g) + kStretch;
    return lineFloats(g) * 2 + pairFloats(g) + (rows + kStretch) / kBlock * kTile + (1 + lagTiles(g)) * kTile;
  }

  TileFilter(const Gated& g, Pieces& pieces)
      : g_(g),
        before_(before(g)),
        back_(halves(pieces, lineFloats(g))),
        ahead_(halves(pieces, lineFloats(g))),
        pairs_(pieces.take(pairFloats(g))),
        inputs_(pieces.take((1 + (before_ + kStretch) / kBlock) * kTile) + kTile),
        gradients_(pieces.take(kStretch / kBlock * kTile)),
        sums_(pieces.take(lagTiles(g) * kTile)) {}

  void take(int64_t first) const {
    const int64_t own = first / g_.width * g_.tapCount;
    for (int64_t x = 0; x < 2 * lineFloats(g_); x++) {
      back_[x] = narrow(tap(own, before_ + kBlock - 1 - x));
      ahead_[x] = narrow(tap(own, x - (kBlock - 1)));
    }
    std::fill(sums_, sums_ + lagTiles(g_) * kTile, 0.0f);
  }

  void apply(const float* u, int64_t count, float* z) const {
    toPairs(u - before_ * kWidth, kWidth, before_ + count, before_ + roundedUp(count), kWidth, pairs_);
    multiply(back_ + kBlock - 1, count, z);
  }
  void applyBack(const float* dz, int64_t count, float* du) const {
    const int64_t rows = before_ + roundedUp(count);
    toPairs(dz, kWidth, rows, rows, kWidth, pairs_);
    multiply(ahead_ + kBlock - 1, count, du);
  }

  // Σ dz uᵀ over the channels of pairs of positions 16 apart: lags stand on the diagonals of the sums.
  void addTaps(const float* dz, const float* u, int64_t count) const {
    const int64_t blocks = (count + kBlock - 1) / kBlock;
    for (int64_t block = -before_ / kBlock; block < blocks; block++) {
      f32x16 rows[kWidth];
      for (int64_t i = 0; i < kWidth; i++) rows[i] = twoRows(u + block * kBlock * kWidth, i);
      transpose(rows);
      for (int64_t i = 0; i < kWidth; i++) store(inputs_ + before_ / kBlock * kTile + block * kTile + i * kWidth, rows[i]);
    }
    for (int64_t block = 0; block < blocks; block++) {
      for (int64_t i = 0; i < kWidth; i++) {
        store(gradients_ + block * kTile + i * kWidth, twoRows(dz + block * kBlock * kWidth, i));
      }
    }
    for (int64_t lag = 0; lag < lagTiles(g_); lag += 3) addLagTiles(lag, blocks);
  }

  void giveTaps(float* to, int64_t stride) const {
    for (int64_t lag = 0; lag < g_.tapCount; lag++) {
      float sum = 0;
      for (int64_t tile = 0; tile < lagTiles(g_); tile++) {
        const int64_t offset = lag - kWidth * tile;  // row − column
        for (int64_t i = std::max<int64_t>(0, offset); i < std::min<int64_t>(kWidth, kWidth + offset); i++) {
          sum += sums_[tile * kTile + i * kWidth + i - offset];
        }
      }
      store(to + lag * stride, zero());
      to[lag * stride] = sum;
    }
  }

 private:
  static constexpr int64_t kStretch = 128;  // whole blocks
  static constexpr int64_t kBlock = 32;
  static constexpr int64_t kTile = 16 * kWidth;  // floats

  static int64_t roundedUp(int64_t count) { return (count + 2 * kBlock - 1) / (2 * kBlock) * 2 * kBlock; }
  static int64_t lineFloats(const Gated& g) { return before(g) / 2 + kBlock; }
  static int64_t pairFloats(const Gated& g) { return (before(g) + kStretch) / 2 * kWidth; }
  // Tiles of 16 by 16 products of positions, in whole threes; those too many may read up to a tile before inputs_.
  static int64_t lagTiles(const Gated& g) { return ((g.reach + kWidth - 1) / kWidth / 3 + 1) * 3; }
  static bfloat16* halves(Pieces& pieces, int64_t floats) { return reinterpret_cast<bfloat16*>(pieces.take(floats)); }

  float tap(int64_t own, int64_t lag) const { return lag >= 0 && lag < g_.tapCount ? g_.taps.at(own + lag) : 0.0f; }

  static f32x16 twoRows(const float* rows, int64_t i) {
    return (f32x16)(__m512i)_mm512_cvtne2ps_pbh((__m512)load(rows + (kWidth + i) * kWidth), (__m512)load(rows + i * kWidth));
  }

  // to[t] = Σ over rows s of pairs_, from t − t mod 64 on, of line[s − t], for blocks of 64 positions.
  BRAID_TILES void multiply(const bfloat16* line, int64_t count, float* to) const {
    asm volatile("" ::: "memory");  // the compiler does not see which memory the loads read
    constexpr int kRow = kWidth * sizeof(float), kShift = -static_cast<int>(sizeof(bfloat16));
    for (int64_t t = 0; t < count; t += 2 * kBlock, to += 4 * kTile) {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
      const float* inputs = pairs_ + t / 2 * kWidth;
      for (int64_t s = 0; s <= before_; s += kBlock, inputs += kTile) {
        _tile_loadd(4, line + s, kShift);
        _tile_loadd(6, inputs, kRow);
        _tile_loadd(5, line + s - kWidth, kShift);
        _tile_loadd(7, inputs + kTile, kRow);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 5, 6);
        _tile_dpbf16ps(2, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, to, kRow);
      _tile_stored(1, to + kTile, kRow);
      _tile_stored(2, to + 2 * kTile, kRow);
      _tile_stored(3, to + 3 * kTile, kRow);
    }
  }

  // Three tiles of lags from 16 · `lag` on.
  BRAID_TILES void addLagTiles(int64_t lag, int64_t blocks) const {
    asm volatile("" ::: "memory");
    constexpr int kRow = kWidth * sizeof(float);
    float* sums = sums_ + lag * kTile;
    _tile_loadd(0, sums, kRow);
    _tile_loadd(1, sums + kTile, kRow);
    _tile_loadd(2, sums + 2 * kTile, kRow);
    // Inputs of positions 16 apart are half a tile apart.
    const float* inputs = inputs_ + (before_ / kWidth - lag) * kTile / 2;
    for (int64_t block = 0; block < blocks; block++, inputs += kTile) {
      _tile_loadd(4, gradients_ + block * kTile, kRow);
      _tile_loadd(5, inputs, kRow);
      _tile_loadd(6, inputs - kTile / 2, kRow);
      _tile_loadd(7, inputs - kTile, kRow);
      _tile_dpbf16ps(0, 4, 5);
      _tile_dpbf16ps(1, 4, 6);
      _tile_dpbf16ps(2, 4, 7);
    }
    _tile_stored(0, sums, kRow);
    _tile_stored(1, sums + kTile, kRow);
    _tile_stored(2, sums + 2 * kTile, kRow);
  }

  const Gated& g_;
  const int64_t before_;
  bfloat16 *back_, *ahead_;  // taps looking back, and looking ahead, between zeros
  float *pairs_, *inputs_, *gradients_, *sums_;
};

#undef BRAID_TILES

#endif

// Filters with fewer taps than a tile has rows stay on vectors.
constexpr int64_t kTileTaps = 16;

// body(null pointer to the kind of inner filter) for a call.
template <typename Body>
inline void withInnerFilter([[maybe_unused]] const Call& call, [[maybe_unused]] const Gated& g, const Body& body) {
#if defined(BRAID_HAS_TILES)
  const bool half = g.streams[Gated::kKey].half() && g.streams[Gated::kValue].half();
  if (half && call.team.hasTiles() && g.width % kWidth == 0 && g.tapCount >= kTileTaps) {
    return body(static_cast<TileFilter*>(nullptr));
  }
#endif
  body(static_cast<DirectFilter*>(nullptr));
}

}  // namespace braid::BRAID_VARIANT
