// Forward attention in float32 on vectors, with a running maximum and sum per slot.
#pragma once
#include "attentionProducts.hpp"
#include "math.hpp"

namespace braid::BRAID_VARIANT {

class FloatForward {
 public:
  static int64_t floats(const Attention& a) {
    return (a.e + padded(a.f) + kKeys + 3) * kSlots + FloatProducts::floats(a);
  }

  FloatForward(const Attention& a, Pieces& pieces)
      : a_(a),
        products_(a, pieces),
        queries_(pieces.take(a.e * kSlots)),
        scores_(pieces.take(kKeys * kSlots)),
        sums_(pieces.take(padded(a.f) * kSlots)),
        maximum_(pieces.take(kSlots)),
        total_(pieces.take(kSlots)),
        factor_(pieces.take(kSlots)) {}

  void takeUnit(int64_t, int64_t) {}

  void attend(const Tile& tile) {
    packColumns(tile, a_.q, a_.e, a_.scale * kLog2e, queries_);
    products_.takeTile(tile, {queries_, nullptr, nullptr, nullptr});
    std::fill(sums_, sums_ + padded(a_.f) * kSlots, 0.0f);
    std::fill(maximum_, maximum_ + kSlots, -__builtin_inff());
    std::fill(total_, total_ + kSlots, 0.0f);
    tile.forBlocks(kKeys, [&](int64_t first, int64_t keys) {
      products_.takeBlock(first, keys);
      products_.scores(scores_);
      weigh(tile, first, keys);
      rescale(tile);
      products_.addValues(scores_, sums_);
    });
  }

  void finish(const Tile& tile, const Sink& out, float* logsumexp) {
    for (int64_t s = 0; s < tile.vectors * kWidth; s += kWidth) {
      const f32x16 total = load(total_ + s);
      store(factor_ + s, select(total == 0.0f, zero(), 1.0f / total));
      store(maximum_ + s, load(maximum_ + s) * kLn2 + log(total));
    }
    if (out) unpackColumns(tile, sums_, factor_, a_.f, out);
    if (logsumexp) tile.putPerSlot(maximum_, logsumexp);
  }

 private:
  // Turns scores (base 2) into weights relative to the new maximum, and says by what the older sums must be multiplied.
  void weigh(const Tile& tile, int64_t firstKey, int64_t keys) {
    const f32x16 nothing = splat(-__builtin_inff());
    const bool whole = tile.whole(firstKey, keys);
    for (int64_t v = 0; v < tile.vectors; v++) {
      float* scores = scores_ + v * kWidth;
      const f32x16 before = load(maximum_ + v * kWidth);
      f32x16 top = before;
      for (int64_t j = 0; j < keys; j++) {
        f32x16 score = load(scores + j * kSlots);
        if (!whole) {
          score = select(seen(tile, firstKey + j, v), score, nothing);
          store(scores + j * kSlots, score);
        }
        top = max(top, score);
      }
      // A slot that has seen no key yet: any base will do, all its weights are zero.
      const f32x16 base = select(top == nothing, zero(), top);
      f32x16 sum = zero();
      for (int64_t j = 0; j < keys; j++) {
        const f32x16 weight = exp2(load(scores + j * kSlots) - base);
        store(scores + j * kSlots, weight);
        sum += weight;
      }
      const f32x16 factor = exp2(before - base);
      store(maximum_ + v * kWidth, top);
      store(factor_ + v * kWidth, factor);
      store(total_ + v * kWidth, load(total_ + v * kWidth) * factor + sum);
    }
  }

  void rescale(const Tile& tile) {
    for (int64_t v = 0; v < tile.vectors; v++) {
      const f32x16 factor = load(factor_ + v * kWidth);
      for (int64_t i = 0; i < a_.f; i++) {
        float* sums = sums_ + i * kSlots + v * kWidth;
        store(sums, load(sums) * factor);
      }
    }
  }

  const Attention& a_;
  FloatProducts products_;
  float *queries_, *scores_, *sums_, *maximum_, *total_, *factor_;
};

}  // namespace braid::BRAID_VARIANT
