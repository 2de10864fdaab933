// Forward attention with its products on the matrix unit, in bfloat16. Weights are relative to a base per slot that is set
// exactly when a slot sees its first keys, and again only if the weights of later keys grow too large for it: the largest
// score of every block need not be known, and older sums need not be scaled.
#pragma once
#include "attentionPairs.hpp"
#include "math.hpp"

#if defined(BRAID_HAS_TILES)

namespace braid::BRAID_VARIANT {

constexpr int64_t kForwardKeys = 128;  // of a block

class PairForward {
 public:
  static int64_t floats(const Attention& a) {
    const PairSizes z(a);
    return z.capacity * (z.eDepth + padded(a.f)) / 2 + (z.eDepth / 2 + padded(a.f) + 3) * kSlots + kForwardKeys / 2 * kStep +
           2 * kStep * kStep;
  }

  PairForward(const Attention& a, Pieces& pieces)
      : a_(a),
        z_(a),
        keyRows_(takeHalves(pieces, z_.capacity * z_.eDepth)),
        valueColumns_(takeHalves(pieces, z_.capacity * padded(a.f))),
        queries_(pieces.take(z_.eDepth / 2 * kSlots)),
        sums_(pieces.take(padded(a.f) * kSlots)),
        base_(pieces.take(kSlots)),
        total_(pieces.take(kSlots)),
        factor_(pieces.take(kSlots)),
        weights_(pieces.take(kForwardKeys / 2 * kStep)),
        scores_{pieces.take(kStep * kStep), pieces.take(kStep * kStep)} {}

  void takeUnit(int64_t row, int64_t group) {
    const PairUnit unit(a_, z_, row, group);
    unit.rows(a_.k, a_.e, z_.eDepth, keyRows_);
    unit.columns(a_.v, a_.f, valueColumns_);
  }

  void attend(const Tile& tile) {
    featuresBySlot(tile, a_.q, a_.e, z_.eDepth, a_.scale * kLog2e, queries_);
    std::fill(sums_, sums_ + padded(a_.f) * kSlots, 0.0f);
    std::fill(base_, base_ + 2 * kSlots, 0.0f);  // and total_
    tile.forBlocks(kForwardKeys, [&](int64_t first, int64_t keys) {
      for (int64_t half = 0; half * kStep < tile.count; half++) {
        const Steps steps(tile, half, first, first + keys);
        if (steps.begin < steps.end) z_.folded ? block<true>(tile, steps) : block<false>(tile, steps);
      }
    });
  }

  void finish(const Tile& tile, const Sink& out, float* logsumexp) {
    for (int64_t s = 0; s < slotsOf(tile); s += kWidth) {
      const f32x16 total = load(total_ + s);
      store(factor_ + s, select(total == 0.0f, zero(), 1.0f / total));
      store(base_ + s, load(base_ + s) * kLn2 + log(total));
    }
    if (out) unpackTurned(tile, sums_, factor_, a_.f, out);
    if (logsumexp) tile.putPerSlot(base_, logsumexp);
  }

 private:
  template <bool folded>
  void block(const Tile& tile, const Steps& steps) {
    const int64_t slot = steps.half * kStep;
    if (meetsFirstKeys(tile, steps)) rebase<folded>(tile, steps);
    weigh<folded>(tile, steps);
    if (overflows(slot)) {
      rebase<folded>(tile, steps);
      weigh<folded>(tile, steps);
    }
    for (int64_t v = 0; v < 2; v++) store(total_ + slot + v * kWidth, load(total_ + slot + v * kWidth) + added_[v]);
    pairProduct({padded(a_.f), kStep, steps.end - steps.begin, valueColumns_ + steps.begin, z_.capacity, weights_, kStep,
                 sums_ + slot, kSlots, true});
  }

  // Weights above 2⁴⁰ in sum: far from the largest float, and from those products of it that still are one.
  bool overflows(int64_t slot) const {
    const f32x16 limit = splat(1.0995116e12f);
    const i32x16 within = (load(total_ + slot) + added_[0] < limit) & (load(total_ + slot + kWidth) + added_[1] < limit);
    return !all(within);
  }

  // Whether a slot that has seen nothing so far sees a key of these.
  bool meetsFirstKeys(const Tile& tile, const Steps& steps) const {
    const int32_t begin = static_cast<int32_t>(steps.begin), last = static_cast<int32_t>(steps.end - 1);
    i32x16 meets = splatInt(0);
    for (int64_t v = 0; v < 2; v++) {
      const int64_t slot = steps.half * kStep + v * kWidth;
      i32x16 starts = load(tile.first + slot) <= last;
      if (steps.begin < tile.sinks) starts = splatInt(-1);
      meets = meets | ((load(total_ + slot) == 0.0f) & (load(tile.last + slot) >= begin) & starts);
    }
    return any(meets);
  }

  void scores(const Steps& steps, int64_t key, float* to) const {
    pairProduct({kStep, kStep, z_.eDepth, keyRows_ + key * z_.eDepth, z_.eDepth, queries_ + steps.half * kStep, kSlots, to,
                 kStep, false});
  }

  // visit(key, scores of its step): the products of the next step are under way meanwhile.
  template <typename Visit>
  void forSteps(const Steps& steps, const Visit& visit) const {
    scores(steps, steps.begin, scores_[0]);
    int turn = 0;
    for (int64_t key = steps.begin; key < steps.end; key += kStep, turn = 1 - turn) {
      if (key + kStep < steps.end) scores(steps, key + kStep, scores_[1 - turn]);
      visit(key, scores_[turn]);
    }
  }

  template <bool folded>
  void weigh(const Tile& tile, const Steps& steps) {
    added_[0] = added_[1] = zero();
    forSteps(steps, [&](int64_t key, const float* scores) {
      const bool whole = tile.halves[steps.half].whole(key, kStep, tile.sinks);
      whole ? weighStep<folded, false>(tile, steps, key, scores) : weighStep<folded, true>(tile, steps, key, scores);
    });
  }

  template <bool folded, bool masked>
  void weighStep(const Tile& tile, const Steps& steps, int64_t key, const float* scores) {
    const float* base = base_ + steps.half * kStep;
    float* to = weights_ + (key - steps.begin) / 2 * kStep;
    f32x16 sums[2][2] = {};
    const auto weight = [&](int64_t j, int64_t v) {
      f32x16 score = load(scores + j * kStep + v * kWidth);
      if (!folded) score = score - load(base + v * kWidth);
      if (masked) score = select(seen(tile, key + j, 2 * steps.half + v), score, splat(-__builtin_inff()));
      return exp2Short(score);
    };
    for (int64_t j = 0; j < kWidth; j++, to += kStep) {
      const f32x16 a = weight(j, 0), b = weight(j, 1), c = weight(j + kWidth, 0), d = weight(j + kWidth, 1);
      sums[0][0] += a;
      sums[0][1] += b;
      sums[1][0] += c;
      sums[1][1] += d;
      pairRows(roundTwo(a, b), roundTwo(c, d), to);
    }
    for (int64_t v = 0; v < 2; v++) added_[v] += sums[0][v] + sums[1][v];
  }

  // Moves the base of slots that have seen nothing, or too large scores, to the largest score of these keys.
  template <bool folded>
  void rebase(const Tile& tile, const Steps& steps) {
    const int64_t slot = steps.half * kStep;
    f32x16 top[2] = {splat(-__builtin_inff()), splat(-__builtin_inff())};
    forSteps(steps, [&](int64_t key, const float* scores) {
      for (int64_t j = 0; j < kStep; j++) {
        for (int64_t v = 0; v < 2; v++) {
          f32x16 score = load(scores + j * kStep + v * kWidth);
          if (!folded) score = score - load(base_ + slot + v * kWidth);
          top[v] = max(select(seen(tile, key + j, 2 * steps.half + v), score, splat(-__builtin_inff())), top[v]);
        }
      }
    });
    for (int64_t v = 0; v < 2; v++) {
      const int64_t at = slot + v * kWidth;
      const f32x16 total = load(total_ + at), base = load(base_ + at);
      const i32x16 unset = total == 0.0f;
      const i32x16 moves = (top[v] > -__builtin_inff()) & (unset | (top[v] > 0.0f));
      const f32x16 shift = select(moves, top[v], zero());
      const f32x16 factor = select(unset, splat(1.0f), exp2(-shift));
      store(base_ + at, base + shift);
      store(total_ + at, total * factor);
      store(factor_ + at, factor);
      if (folded) foldShift(base + shift, a_.e, at, queries_);
    }
    for (int64_t column = slot; column < slot + kStep; column++) {
      const float factor = factor_[slotOf(column)];
      if (factor == 1.0f) continue;
      for (int64_t i = 0; i < a_.f; i++) sums_[i * kSlots + column] *= factor;
    }
  }

  const Attention& a_;
  const PairSizes z_;
  const TileTiling::Session session_;
  bfloat16 *keyRows_, *valueColumns_;
  float *queries_, *sums_, *base_, *total_, *factor_, *weights_;
  float* scores_[2];
  f32x16 added_[2];
};

}  // namespace braid::BRAID_VARIANT

#endif
