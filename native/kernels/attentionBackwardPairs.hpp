// Gradients of attention with their products on the matrix unit, in bfloat16.
#pragma once
#include "attentionGradients.hpp"
#include "attentionPairs.hpp"

#if defined(BRAID_HAS_TILES)

namespace braid::BRAID_VARIANT {

constexpr int64_t kBackwardKeys = 64;  // of a block

class PairBackward {
 public:
  static int64_t floats(const Attention& a) {
    const PairSizes z(a);
    const int64_t e = padded(a.e), f = padded(a.f);
    return z.capacity * (z.eDepth + z.fDepth + e) / 2 + (z.eDepth + z.fDepth + e + f) / 2 * kSlots + e * kSlots +
           3 * kBackwardKeys / 2 * kSlots + 4 * kStep * kStep + 3 * kSlots;
  }

  PairBackward(const Attention& a, const Gradients& g, Pieces& pieces)
      : a_(a),
        g_(g),
        z_(a),
        keyRows_(takeHalves(pieces, z_.capacity * z_.eDepth)),
        valueRows_(takeHalves(pieces, z_.capacity * z_.fDepth)),
        keyColumns_(takeHalves(pieces, z_.capacity * padded(a.e))),
        weightRows_(takeHalves(pieces, kBackwardKeys * kSlots)),
        slopeRows_(takeHalves(pieces, kBackwardKeys * kSlots)),
        slopePairs_(pieces.take(kBackwardKeys / 2 * kSlots)),
        queries_(pieces.take(z_.eDepth / 2 * kSlots)),
        gradients_(pieces.take(z_.fDepth / 2 * kSlots)),
        queryPairs_(pieces.take(kSlots / 2 * padded(a.e))),
        gradientPairs_(pieces.take(kSlots / 2 * padded(a.f))),
        dQueries_(pieces.take(padded(a.e) * kSlots)),
        logsumexp_(pieces.take(kSlots)),
        delta_(pieces.take(kSlots)),
        scale_(pieces.take(kSlots)),
        scores_{pieces.take(kStep * kStep), pieces.take(kStep * kStep)},
        slopes_{pieces.take(kStep * kStep), pieces.take(kStep * kStep)} {}

  void takeUnit(int64_t row, int64_t group) {
    const PairUnit unit(a_, z_, row, group);
    unit.rows(a_.k, a_.e, z_.eDepth, keyRows_);
    unit.rows(a_.v, a_.f, z_.fDepth, valueRows_);
    unit.columns(a_.k, a_.e, keyColumns_);
  }

  // Adds to dKeys and dValues, rows of whole vectors, and stores dq.
  void addTile(const Tile& tile, float* dKeys, float* dValues) {
    pack(tile);
    std::fill(dQueries_, dQueries_ + padded(a_.e) * kSlots, 0.0f);
    tile.forBlocks(kBackwardKeys, [&](int64_t first, int64_t keys) {
      const int64_t depth = roundUp(keys, kStep), slots = slotsOf(tile), e = padded(a_.e), f = padded(a_.f);
      z_.folded ? weigh<true>(tile, first, depth) : weigh<false>(tile, first, depth);
      pairProduct({e, slots, depth, keyColumns_ + first, z_.capacity, slopePairs_, kSlots, dQueries_, kSlots, true});
      pairProduct({depth, e, slots, slopeRows_, kSlots, queryPairs_, e, dKeys + first * e, e, true});
      pairProduct({depth, f, slots, weightRows_, kSlots, gradientPairs_, f, dValues + first * f, f, true});
    });
    std::fill(scale_, scale_ + kSlots, a_.scale);
    if (g_.dq) unpackTurned(tile, dQueries_, scale_, a_.e, g_.dq);
  }

 private:
  void pack(const Tile& tile) {
    featuresBySlot(tile, a_.q, a_.e, z_.eDepth, a_.scale * kLog2e, queries_);
    featuresBySlot(tile, g_.dOut, a_.f, z_.fDepth, 1, gradients_);
    slotsByFeature(tile, a_.q, a_.e, a_.scale, queryPairs_);
    slotsByFeature(tile, g_.dOut, a_.f, 1, gradientPairs_);
    statisticsOf(a_, tile, g_, logsumexp_, delta_);
    for (int64_t s = 0; z_.folded && s < slotsOf(tile); s += kWidth) {
      foldShift(load(logsumexp_ + s), a_.e, s, queries_);
      foldShift(load(delta_ + s), a_.f, s, gradients_);
    }
  }

  // Scores and slopes of a step. Those that no slot sees are not computed.
  bool products(const Tile& tile, int64_t half, int64_t key, int turn) const {
    if (tile.halves[half].none(key, kStep, tile.sinks)) return false;
    const int64_t slot = half * kStep;
    pairProduct({kStep, kStep, z_.eDepth, keyRows_ + key * z_.eDepth, z_.eDepth, queries_ + slot, kSlots, scores_[turn],
                 kStep, false});
    pairProduct({kStep, kStep, z_.fDepth, valueRows_ + key * z_.fDepth, z_.fDepth, gradients_ + slot, kSlots,
                 slopes_[turn], kStep, false});
    return true;
  }

  // Weights and gradients of scores of a block, a step after the other; the products of the next step are under way meanwhile.
  template <bool folded>
  void weigh(const Tile& tile, int64_t first, int64_t keys) const {
    const int64_t perHalf = keys / kStep, steps = slotsOf(tile) / kStep * perHalf;
    const auto start = [&](int64_t step, int turn) {
      return products(tile, step / perHalf, first + step % perHalf * kStep, turn);
    };
    bool there = start(0, 0);
    int turn = 0;
    for (int64_t step = 0; step < steps; step++, turn = 1 - turn) {
      const bool next = step + 1 < steps && start(step + 1, 1 - turn);
      const int64_t half = step / perHalf, at = step % perHalf * kStep;
      if (!there) {
        clearStep(half, at);
      } else if (tile.halves[half].whole(first + at, kStep, tile.sinks)) {
        weighStep<folded, false>(tile, half, first, at, turn);
      } else {
        weighStep<folded, true>(tile, half, first, at, turn);
      }
      there = next;
    }
  }

  void clearStep(int64_t half, int64_t at) const {
    for (int64_t j = 0; j < kStep; j++) {
      store(reinterpret_cast<float*>(weightRows_ + (at + j) * kSlots + half * kStep), zero());
      store(reinterpret_cast<float*>(slopeRows_ + (at + j) * kSlots + half * kStep), zero());
      store(slopePairs_ + (at / 2 + j / 2) * kSlots + half * kStep + j % 2 * kWidth, zero());
    }
  }

  template <bool folded, bool masked>
  void weighStep(const Tile& tile, int64_t half, int64_t first, int64_t at, int turn) const {
    const int64_t slot = half * kStep;
    const auto weigh = [&](int64_t j, int64_t v, f32x16& weight, f32x16& slope) {
      f32x16 score = load(scores_[turn] + j * kStep + v * kWidth), change = load(slopes_[turn] + j * kStep + v * kWidth);
      if (!folded) {
        score = score - load(logsumexp_ + slot + v * kWidth);
        change = change - load(delta_ + slot + v * kWidth);
      }
      weight = exp2Short(score);
      if (masked) weight = select(seen(tile, first + at + j, 2 * half + v), weight, zero());
      slope = weight * change;
    };
    // One key: its rows of weights and slopes; the rounded slopes.
    const auto row = [&](int64_t j) {
      f32x16 weight[2], slope[2];
      for (int64_t v = 0; v < 2; v++) weigh(j, v, weight[v], slope[v]);
      const __m512i slopes = roundTwo(slope[0], slope[1]);
      _mm512_storeu_si512(weightRows_ + (at + j) * kSlots + slot, roundTwo(weight[0], weight[1]));
      _mm512_storeu_si512(slopeRows_ + (at + j) * kSlots + slot, slopes);
      return slopes;
    };
    for (int64_t j = 0; j < kWidth; j++) {
      const __m512i early = row(j), late = row(j + kWidth);
      pairRows(early, late, slopePairs_ + (at / 2 + j) * kSlots + slot);
    }
  }

  const Attention& a_;
  const Gradients& g_;
  const PairSizes z_;
  const TileTiling::Session session_;
  bfloat16 *keyRows_, *valueRows_, *keyColumns_, *weightRows_, *slopeRows_;
  float *slopePairs_, *queries_, *gradients_, *queryPairs_, *gradientPairs_, *dQueries_, *logsumexp_, *delta_, *scale_;
  float *scores_[2], *slopes_[2];
};

}  // namespace braid::BRAID_VARIANT

#endif
