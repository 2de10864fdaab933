// Gradients of the causal depthwise convolution. Every thread owns a range of channels, so that sums over positions need
// no other thread. Positions run backwards: the gradient of an input needs those of the K outputs it is part of, which
// are the last K that were computed.
#include "convolution.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Outputs {
  Source dy, dNext;
  Sink dx, dWeight, dBias, dWindow;
};

// The channels of one thread, with rows of `stride` elements per tap.
struct Share {
  const Convolution& c;
  const Outputs& g;
  int64_t first, count, stride;
  float *weights, *dWeights, *dBias;
  float* later;  // gradients of the filtered inputs at the K − 1 positions after a tile

  static size_t bytes(const Convolution& c, int64_t stride) {
    return static_cast<size_t>(3 * c.taps * stride) * sizeof(float);
  }

  Share(const Convolution& c, const Outputs& g, int64_t first, int64_t count, std::byte* memory)
      : c(c), g(g), first(first), count(count), stride(padded(count)) {
    weights = reinterpret_cast<float*>(memory);
    dWeights = weights + c.taps * stride;
    dBias = dWeights + c.taps * stride;
    later = dBias + stride;
    std::fill(weights, dBias + stride, 0.0f);
    c.transposeWeights(first, count, stride, weights);
  }

  // The share of dx (negative positions: of dWindow) at s that comes through the next window.
  f32x16 fromWindow(int64_t row, int64_t s, int64_t e, int64_t lanes) const {
    const int64_t j = s - (c.length - (c.taps - 1));
    if (!g.dNext || j < 0 || !c.sees(row, s, c.length - 1)) return zero();
    return g.dNext.load((row * (c.taps - 1) + j) * c.channels + first + e, lanes);
  }

  // Channels e … e + lanes of the share along a tile, from its end. The lines `ahead` elements further are asked for
  // meanwhile. Output t + j holds the input at t under tap K − 1 − j.
  template <int K, bool Cut>
  void walk(const TapTile& tile, int64_t e, int64_t lanes, int64_t ahead) const {
    const int64_t taps = K > 0 ? K : c.taps, row = tile.row;
    TapVectors<K> weight, dWeight, x, d;
    const f32x16 bias = c.bias ? c.bias.load(first + e, lanes) : zero();
    f32x16 dBiasSum = load(dBias + e);
    forStates<K>(taps, [&](int64_t k) {
      weight[k] = load(weights + k * stride + e), dWeight[k] = load(dWeights + k * stride + e);
    });
    // The inputs and the gradients of the position after the last one, in their places.
    for (int64_t k = 0; k + 1 < taps; k++) {
      x[k] = c.input(row, tile.end - (taps - 1) + k, first + e, lanes);
      d[k] = load(later + k * stride + e);
    }
    for (int64_t t = tile.end - 1; t >= tile.begin; t--) {
      const int64_t at = c.offset(row, t) + first + e;
      c.x.prefetch(at + ahead);
      if (g.dy) g.dy.prefetch(at + ahead);
      forStates<K>(taps, [&](int64_t i) {
        const int64_t k = taps - 1 - i;
        x[k] = k > 0 ? x[k - 1] : c.input(row, t - (taps - 1), first + e, lanes);
        if (k > 0) d[k] = d[k - 1];
      });
      d[0] = g.dy ? g.dy.load(at, lanes) : zero();
      if (c.silu) {
        f32x16 filtered = bias;
        forStates<K>(taps, [&](int64_t k) {
          if (!Cut || tile.sees(t, k)) filtered += weight[k] * x[k];
        });
        const f32x16 s = logistic(filtered);
        d[0] *= s + s * filtered * (1.0f - s);
      }
      dBiasSum += d[0];
      forStates<K>(taps, [&](int64_t k) {
        if (!Cut || tile.sees(t, k)) dWeight[k] += d[0] * x[k];
      });
      if (!g.dx) continue;
      f32x16 dx = t < c.length - (taps - 1) ? zero() : fromWindow(row, t, e, lanes);
      forStates<K>(taps, [&](int64_t j) {
        if (!Cut || (t + j < c.length && tile.sees(t + j, taps - 1 - j))) dx += weight[taps - 1 - j] * d[j];
      });
      g.dx.store(at, dx, lanes);
    }
    store(dBias + e, dBiasSum);
    forStates<K>(taps, [&](int64_t k) { store(dWeights + k * stride + e, dWeight[k]); });
    for (int64_t k = 0; k + 1 < taps; k++) store(later + k * stride + e, d[k]);
  }

  // The positions of a tile; `before`: how far from it the next one to come is.
  void backwardTile(const TapTile& tile, int64_t before) const {
    withTaps(c.taps, !tile.seesAll, [&](auto taps, auto cut) {
      forVectors(0, count, [&](int64_t e, int64_t n) {
        const bool last = e + kLineChannels >= count;
        const int64_t ahead = last ? -before * c.channels - e : kLineChannels;
        walk<decltype(taps)::value, decltype(cut)::value>(tile, e, n, ahead);
      });
    });
  }

  // The gradient of the input at position s < 0 from the outputs 0 … s + K − 1, which are those after the last tile.
  void windowInput(int64_t row, int64_t s) const {
    const int64_t end = std::min(s + c.taps, c.length);
    forVectors(0, count, [&](int64_t e, int64_t n) {
      f32x16 sum = fromWindow(row, s, e, n);
      for (int64_t t = 0; t < end; t++) {
        if (c.sees(row, s, t)) sum += load(weights + (c.taps - 1 - (t - s)) * stride + e) * load(later + t * stride + e);
      }
      g.dWindow.store(c.offset(row, s) + first + e, sum, n);
    });
  }

  void backwardRow(int64_t row) const {
    std::fill(later, later + (c.taps - 1) * stride, 0.0f);
    for (int64_t begin = (c.length - 1) / kTile * kTile; begin >= 0; begin -= kTile) {
      backwardTile(TapTile(c, row, begin, std::min(begin + kTile, c.length)), begin > 0 ? kTile : 0);
    }
    for (int64_t s = -(c.taps - 1); g.dWindow && s < 0; s++) windowInput(row, s);
  }

  void finish() const {
    for (int64_t e = 0; e < count; e++) {
      for (int64_t tap = 0; g.dWeight && tap < c.taps; tap++) {
        g.dWeight.put((first + e) * c.taps + tap, dWeights[tap * stride + e]);
      }
      if (g.dBias) g.dBias.put(first + e, dBias[e]);
    }
  }
};

void causalConvolutionBackward(const Call& call) {
  const Convolution c(call);
  const Outputs g{optional(call, 6), optional(call, 7), call.out(0), call.out(1), call.out(2), call.out(3)};
  call.team.split(c.channels, kLineChannels, [&](int64_t begin, int64_t end, int thread) {
    const int64_t count = end - begin;
    const Share share(c, g, begin, count, call.team.scratch(thread, Share::bytes(c, padded(count))));
    for (int64_t row = 0; row < c.batch; row++) share.backwardRow(row);
    share.finish();
  });
}

}  // namespace

void registerConvolutionBackward(KernelTable& table) {
  table.emplace("causalConvolutionBackward", causalConvolutionBackward);
}

}  // namespace braid::BRAID_VARIANT
