// Gradients of attention in float32 on vectors.
#pragma once
#include "attentionGradients.hpp"
#include "attentionProducts.hpp"
#include "math.hpp"

namespace braid::BRAID_VARIANT {

class FloatBackward {
 public:
  static int64_t floats(const Attention& a) {
    return (a.e + a.f + 2 * kKeys + 2 * padded(a.e) + padded(a.f) + 3) * kSlots + FloatProducts::floats(a);
  }

  FloatBackward(const Attention& a, const Gradients& g, Pieces& pieces)
      : a_(a),
        g_(g),
        products_(a, pieces),
        queries_(pieces.take(a.e * kSlots)),
        gradients_(pieces.take(a.f * kSlots)),
        scores_(pieces.take(kKeys * kSlots)),
        slopes_(pieces.take(kKeys * kSlots)),
        dQueries_(pieces.take(padded(a.e) * kSlots)),
        queryRows_(pieces.take(padded(a.e) * kSlots)),
        gradientRows_(pieces.take(padded(a.f) * kSlots)),
        logsumexp_(pieces.take(kSlots)),
        delta_(pieces.take(kSlots)),
        scale_(pieces.take(kSlots)) {}

  void takeUnit(int64_t, int64_t) {}

  // Adds to dKeys and dValues, rows of whole vectors, and stores dq.
  void addTile(const Tile& tile, float* dKeys, float* dValues) {
    packColumns(tile, a_.q, a_.e, a_.scale * kLog2e, queries_);
    packColumns(tile, g_.dOut, a_.f, 1, gradients_);
    packRows(tile, a_.q, a_.e, a_.scale, queryRows_);
    packRows(tile, g_.dOut, a_.f, 1, gradientRows_);
    statisticsOf(a_, tile, g_, logsumexp_, delta_);
    products_.takeTile(tile, {queries_, gradients_, queryRows_, gradientRows_});
    std::fill(dQueries_, dQueries_ + padded(a_.e) * kSlots, 0.0f);
    tile.forBlocks(kKeys, [&](int64_t first, int64_t keys) {
      products_.takeBlock(first, keys);
      products_.scores(scores_);
      products_.slopes(slopes_);
      weigh(tile, first, keys);
      products_.addGradients(scores_, slopes_, dQueries_, dKeys, dValues);
    });
    std::fill(scale_, scale_ + kSlots, a_.scale);
    if (g_.dq) unpackColumns(tile, dQueries_, scale_, a_.e, g_.dq);
  }

 private:
  // Rows of the tile as they stand, padded to whole vectors.
  void packRows(const Tile& tile, const Source& from, int64_t width, float factor, float* to) const {
    for (int64_t s = 0; s < tile.count; s++) {
      const int64_t at = tile.offset(s, width);
      float* row = to + s * padded(width);
      forVectors(0, width, [&](int64_t i, int64_t n) { store(row + i, from.load(at + i, n) * factor); });
    }
  }

  // Scores (base 2) become weights, slopes (dOut · v) become gradients of the scores.
  void weigh(const Tile& tile, int64_t firstKey, int64_t keys) {
    const bool whole = tile.whole(firstKey, keys);
    for (int64_t v = 0; v < tile.vectors; v++) {
      const f32x16 logsumexp = load(logsumexp_ + v * kWidth), delta = load(delta_ + v * kWidth);
      for (int64_t j = 0; j < keys; j++) {
        float* score = scores_ + j * kSlots + v * kWidth;
        float* slope = slopes_ + j * kSlots + v * kWidth;
        f32x16 weight = exp2(load(score) - logsumexp);
        if (!whole) weight = select(seen(tile, firstKey + j, v), weight, zero());
        store(score, weight);
        store(slope, weight * (load(slope) - delta));
      }
    }
  }

  const Attention& a_;
  const Gradients& g_;
  FloatProducts products_;
  float *queries_, *gradients_, *scores_, *slopes_, *dQueries_, *queryRows_, *gradientRows_, *logsumexp_, *delta_, *scale_;
};

}  // namespace braid::BRAID_VARIANT
