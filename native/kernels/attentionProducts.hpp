// The matrix products inside attention in float32, on vectors: anywhere, and where nothing is stored in bfloat16.
// Tiles are transposed (a slot per column, see attentionTile.hpp); weights and slopes are [keys of the block, kSlots].
#pragma once
#include "attentionTile.hpp"

namespace braid::BRAID_VARIANT {

constexpr int64_t kKeys = 64;  // of a block

// What a tile brings: queries and gradients of the output, as columns [width, kSlots] and as rows [kSlots, padded(width)].
// Forward there are only columns of queries.
struct TileOperands {
  const float *queries, *gradients, *queryRows, *gradientRows;
};

class FloatProducts {
 public:
  static int64_t floats(const Attention& a) { return kKeys * (padded(a.e) + padded(a.f)); }

  FloatProducts(const Attention& a, Pieces& pieces)
      : a_(a), keyBuffer_(pieces.take(kKeys * padded(a.e))), valueBuffer_(pieces.take(kKeys * padded(a.f))) {}

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

}  // namespace braid::BRAID_VARIANT
