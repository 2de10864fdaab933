// What both kinds of backward attention read beside q, k and v.
#pragma once
#include "attentionTile.hpp"
#include "math.hpp"

namespace braid::BRAID_VARIANT {

struct Gradients {
  Source out, logsumexp, dOut;
  Sink dq, dk, dv;
};

// Rows of dKeys and dValues: whole steps may be written behind the last key.
inline int64_t keySumRows(const Attention& a) { return a.keys + kStep; }

// Of each slot the logarithm (base 2) of its sum of exponentials, and Σ out ⊙ dOut, which the gradients of its scores have in
// common. Lanes without a slot get weights of zero.
inline void statisticsOf(const Attention& a, const Tile& tile, const Gradients& g, float* logsumexp, float* delta) {
  std::fill(logsumexp, logsumexp + kSlots, 1e30f);
  std::fill(delta, delta + kSlots, 0.0f);
  for (int64_t s = 0; s < tile.count; s++) {
    const int64_t at = tile.offset(s, a.f);
    logsumexp[s] = g.logsumexp.at(tile.places[s]) * kLog2e;
    f32x16 sums = zero();
    forVectors(0, a.f, [&](int64_t i, int64_t n) { sums += g.out.load(at + i, n) * g.dOut.load(at + i, n); });
    delta[s] = sum(sums);
  }
}

}  // namespace braid::BRAID_VARIANT
