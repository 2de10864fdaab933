// The matrix products inside attention, in two kinds with the same functions: in float32 on vectors, anywhere; and of
// bfloat16 numbers on the matrix unit, for programs that store queries, keys or values in bfloat16 anyway.
// Tiles are transposed (a slot per column, see attentionTile.hpp); weights and slopes are [keys of the block, kSlots].
#pragma once
#include "attentionTile.hpp"
#include "tilePairs.hpp"

namespace braid::BRAID_VARIANT {

inline int64_t roundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// What a tile brings: queries and gradients of the output, as columns [width, kSlots] and as rows [kSlots, padded(width)].
// Forward there are only columns of queries.
struct TileOperands {
  const float *queries, *gradients, *queryRows, *gradientRows;
};

class FloatProducts {
 public:
  static int64_t floats(const Attention& a, bool) { return kKeys * (padded(a.e) + padded(a.f)); }

  FloatProducts(const Attention& a, bool, Pieces& pieces)
      : a_(a), keyBuffer_(pieces.take(kKeys * padded(a.e))), valueBuffer_(pieces.take(kKeys * padded(a.f))) {}

  void takeUnit(int64_t, int64_t) {}
  void takeTile(const Tile& tile, const TileOperands& operands) {
    tile_ = &tile;
    operands_ = operands;
  }
  void takeBlock(int64_t first, int64_t keys) {
    first_ = first;
    keys_ = keys;
    k_ = keyRows(a_, *tile_, a_.k, a_.e, first, keys, keyBuffer_);
    v_ = keyRows(a_, *tile_, a_.v, a_.f, first, keys, valueBuffer_);
  }

  // Keys · queries, and values · gradients.
  void scores(float* out) const { byRows(k_, a_.e, operands_.queries, out); }
  void slopes(float* out) const { byRows(v_, a_.f, operands_.gradients, out); }

  // sums[f, kSlots] += valuesᵀ · weights
  void addValues(const float* weights, float* sums) const { byColumns(v_, a_.f, weights, sums); }

  // dQueries[e, kSlots] += keysᵀ · slopes, dKeys += slopes · queries, dValues += weights · gradients
  void addGradients(const float* weights, const float* slopes, float* dQueries, float* dKeys, float* dValues) const {
    byColumns(k_, a_.e, slopes, dQueries);
    bySlots(slopes, operands_.queryRows, padded(a_.e), dKeys);
    bySlots(weights, operands_.gradientRows, padded(a_.f), dValues);
  }

 private:
  void byRows(const KeyRows& rows, int64_t width, const float* columns, float* out) const {
    tileProduct({width, rows.data, rows.stride, 1, columns, kSlots, out, kSlots, false}, keys_, tile_->vectors);
  }
  void byColumns(const KeyRows& rows, int64_t width, const float* weights, float* sums) const {
    tileProduct({keys_, rows.data, 1, rows.stride, weights, kSlots, sums, kSlots, true}, width, tile_->vectors);
  }
  void bySlots(const float* weights, const float* rows, int64_t width, float* sums) const {
    tileProduct({tile_->count, weights, kSlots, 1, rows, width, sums + first_ * width, width, true}, keys_,
                width / kWidth);
  }

  const Attention& a_;
  float *keyBuffer_, *valueBuffer_;
  const Tile* tile_ = nullptr;
  TileOperands operands_{};
  int64_t first_ = 0, keys_ = 0;
  KeyRows k_{}, v_{};
};

#if defined(BRAID_HAS_TILES)

static_assert(kKeys % 32 == 0 && kSlots % 32 == 0, "blocks must be whole steps of the matrix unit");

// Keys and values of one key-value head are rounded once and kept for all its tiles, as rows and as columns, with zeros
// behind the last key. The thread's matrix registers are shaped while this object lives.
class PairProducts {
 public:
  static int64_t floats(const Attention& a, bool backward) {
    const Sizes z(a);
    const int64_t forward = z.capacity * (z.eDepth + padded(a.f)) / 2 + (z.eDepth / 2 + kKeys / 2) * kSlots;
    const int64_t more = z.capacity * (z.fDepth + padded(a.e)) / 2 + z.fDepth / 2 * kSlots +
                         kSlots / 2 * (padded(a.e) + padded(a.f)) + kKeys * kSlots;
    return forward + (backward ? more : 0);
  }

  PairProducts(const Attention& a, bool backward, Pieces& pieces) : a_(a), z_(a), backward_(backward) {
    keyRows_ = halves(pieces, z_.capacity * z_.eDepth);
    valueColumns_ = halves(pieces, z_.capacity * padded(a.f));
    queries_ = pieces.take(z_.eDepth / 2 * kSlots);
    weights_ = pieces.take(kKeys / 2 * kSlots);
    if (!backward) return;
    valueRows_ = halves(pieces, z_.capacity * z_.fDepth);
    keyColumns_ = halves(pieces, z_.capacity * padded(a.e));
    gradients_ = pieces.take(z_.fDepth / 2 * kSlots);
    queryRows_ = pieces.take(kSlots / 2 * padded(a.e));
    gradientRows_ = pieces.take(kSlots / 2 * padded(a.f));
    weightRows_ = halves(pieces, kKeys * kSlots);
    slopeRows_ = halves(pieces, kKeys * kSlots);
  }

  void takeUnit(int64_t row, int64_t group) {
    rowsInHalf(a_.k, a_.e, row, group, z_.eDepth, keyRows_);
    if (!backward_) return columnsInHalf(a_.v, a_.f, row, group, valueColumns_);
    rowsInHalf(a_.v, a_.f, row, group, z_.fDepth, valueRows_);
    columnsInHalf(a_.k, a_.e, row, group, keyColumns_);
  }

  void takeTile(const Tile& tile, const TileOperands& operands) {
    columns_ = tile.vectors * kWidth;
    toPairs(operands.queries, kSlots, a_.e, z_.eDepth, columns_, queries_);
    if (!backward_) return;
    slots_ = roundUp(tile.count, 32);
    toPairs(operands.gradients, kSlots, a_.f, z_.fDepth, columns_, gradients_);
    toPairs(operands.queryRows, padded(a_.e), tile.count, slots_, padded(a_.e), queryRows_);
    toPairs(operands.gradientRows, padded(a_.f), tile.count, slots_, padded(a_.f), gradientRows_);
  }

  void takeBlock(int64_t first, int64_t keys) {
    first_ = first;
    keys_ = keys;
  }

  void scores(float* out) const { byRows(keyRows_, z_.eDepth, queries_, out); }
  void slopes(float* out) const { byRows(valueRows_, z_.fDepth, gradients_, out); }
  void addValues(const float* weights, float* sums) const { byColumns(valueColumns_, padded(a_.f), weights, sums); }

  void addGradients(const float* weights, const float* slopes, float* dQueries, float* dKeys, float* dValues) const {
    byColumns(keyColumns_, padded(a_.e), slopes, dQueries);
    bySlots(slopes, slopeRows_, queryRows_, padded(a_.e), dKeys);
    bySlots(weights, weightRows_, gradientRows_, padded(a_.f), dValues);
  }

 private:
  struct Sizes {
    int64_t capacity;        // keys, and a block of zeros behind them
    int64_t eDepth, fDepth;  // head sizes as depths of a product
    explicit Sizes(const Attention& a)
        : capacity(roundUp(a.keys, kWidth) + kKeys), eDepth(roundUp(a.e, 32)), fDepth(roundUp(a.f, 32)) {}
  };

  static bfloat16* halves(Pieces& pieces, int64_t count) { return reinterpret_cast<bfloat16*>(pieces.take(count / 2)); }

  // Keys of a row that any query may see.
  int64_t limit(int64_t row) const { return a_.used ? a_.used[row] + a_.length : a_.keys; }

  f32x16 element(const Source& from, int64_t width, int64_t row, int64_t group, int64_t key, int64_t i) const {
    if (key >= limit(row) || i >= width) return zero();
    return from.load(((row * a_.keys + key) * a_.groups + group) * width + i, std::min<int64_t>(kWidth, width - i));
  }

  void rowsInHalf(const Source& from, int64_t width, int64_t row, int64_t group, int64_t depth, bfloat16* to) const {
    const int64_t end = std::min(roundUp(limit(row), kWidth) + kKeys, z_.capacity);
    for (int64_t key = 0; key < end; key++) {
      for (int64_t i = 0; i < depth; i += kWidth) {
        store(to + key * depth + i, element(from, width, row, group, key, i));
      }
    }
  }

  void columnsInHalf(const Source& from, int64_t width, int64_t row, int64_t group, bfloat16* to) const {
    const int64_t end = std::min(roundUp(limit(row), kWidth) + kKeys, z_.capacity);
    for (int64_t key = 0; key < end; key += kWidth) {
      for (int64_t i = 0; i < width; i += kWidth) {
        f32x16 block[kWidth];
        for (int64_t j = 0; j < kWidth; j++) block[j] = element(from, width, row, group, key + j, i);
        transpose(block);
        for (int64_t j = 0; j < kWidth; j++) store(to + (i + j) * z_.capacity + key, block[j]);
      }
    }
  }

  void byRows(const bfloat16* rows, int64_t depth, const float* columns, float* out) const {
    pairProduct({roundUp(keys_, 16), columns_, depth, rows + first_ * depth, depth, columns, kSlots, out, kSlots, false});
  }
  void byColumns(const bfloat16* columns, int64_t width, const float* weights, float* sums) const {
    const int64_t depth = roundUp(keys_, 32);
    toPairs(weights, kSlots, keys_, depth, columns_, weights_);
    pairProduct({width, columns_, depth, columns + first_, z_.capacity, weights_, kSlots, sums, kSlots, true});
  }
  // Rows behind the last key must be zero: other tiles may see these keys.
  void bySlots(const float* weights, bfloat16* rows, const float* pairs, int64_t width, float* sums) const {
    for (int64_t j = 0; j < roundUp(keys_, 16); j++) {
      for (int64_t s = 0; s < slots_; s += kWidth) {
        store(rows + j * kSlots + s, j < keys_ && s < columns_ ? load(weights + j * kSlots + s) : zero());
      }
    }
    pairProduct({roundUp(keys_, 16), width, slots_, rows, kSlots, pairs, width, sums + first_ * width, width, true});
  }

  const Attention& a_;
  const Sizes z_;
  const bool backward_;
  const TileTiling::Session session_;
  bfloat16 *keyRows_, *keyColumns_ = nullptr, *valueRows_ = nullptr, *valueColumns_;
  bfloat16 *weightRows_ = nullptr, *slopeRows_ = nullptr;
  float *queries_, *weights_, *gradients_ = nullptr, *queryRows_ = nullptr, *gradientRows_ = nullptr;
  int64_t first_ = 0, keys_ = 0, columns_ = 0, slots_ = 0;
};

#endif

// body(kind of products) for a call. A few queries against a long cache are not worth rounding the whole cache.
template <typename Body>
inline void withProducts([[maybe_unused]] const Attention& a, [[maybe_unused]] const Team& team, const Body& body) {
#if defined(BRAID_HAS_TILES)
  const bool half = a.q.half() || a.k.half() || a.v.half();
  if (half && team.hasTiles() && a.length * a.ratio >= kSlots) return body(static_cast<PairProducts*>(nullptr));
#endif
  body(static_cast<FloatProducts*>(nullptr));
}

}  // namespace braid::BRAID_VARIANT
