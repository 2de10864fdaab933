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
  float *weights, *dWeights, *dBias, *ring;

  static size_t bytes(const Convolution& c, int64_t stride) {
    return static_cast<size_t>((3 * c.taps + 1) * stride) * sizeof(float);
  }

  Share(const Convolution& c, const Outputs& g, int64_t first, int64_t count, std::byte* memory)
      : c(c), g(g), first(first), count(count), stride(wholeVectors(count)) {
    weights = reinterpret_cast<float*>(memory);
    dWeights = weights + c.taps * stride;
    ring = dWeights + c.taps * stride;
    dBias = ring + c.taps * stride;
    std::fill(weights, dBias + stride, 0.0f);
    c.transposeWeights(first, count, stride, weights);
  }

  float* slot(int64_t t) const { return ring + t % c.taps * stride; }

  // The gradient of the filtered input at position t goes into the ring, the bias and the filter.
  void output(int64_t row, int64_t t) const {
    const Taps taps(c, row, t);
    const int64_t at = c.offset(row, t) + first;
    forVectors(0, count, [&](int64_t e, int64_t n) {
      f32x16 d = g.dy.load(at + e, n);
      f32x16 inputs[kMaxTaps];
      for (int64_t tap = 0; tap < c.taps; tap++) inputs[tap] = taps.seen[tap] ? taps.input(tap, first + e, n) : zero();
      if (c.silu) {
        f32x16 filtered = c.bias ? c.bias.load(first + e, n) : zero();
        for (int64_t tap = 0; tap < c.taps; tap++) filtered += load(weights + tap * stride + e) * inputs[tap];
        d *= Silu::slope(filtered);
      }
      store(slot(t) + e, d);
      store(dBias + e, load(dBias + e) + d);
      for (int64_t tap = 0; tap < c.taps; tap++) {
        float* sum = dWeights + tap * stride + e;
        store(sum, load(sum) + d * inputs[tap]);
      }
    });
  }

  // The gradient of the input at position s (negative: in the window) from the outputs s … s + K − 1.
  void input(int64_t row, int64_t s) const {
    const Sink& to = s < 0 ? g.dWindow : g.dx;
    if (!to) return;
    const int64_t at = c.offset(row, s) + first;
    const int64_t begin = std::max<int64_t>(s, 0), end = std::min(s + c.taps, c.length);
    bool seen[kMaxTaps] = {};
    for (int64_t t = begin; t < end; t++) seen[t - s] = g.dy && c.sees(row, s, t);
    // Position s is element j of the next window.
    const int64_t j = s - (c.length - (c.taps - 1));
    const bool kept = g.dNext && j >= 0 && c.sees(row, s, c.length - 1);
    forVectors(0, count, [&](int64_t e, int64_t n) {
      f32x16 sum = kept ? g.dNext.load((row * (c.taps - 1) + j) * c.channels + first + e, n) : zero();
      for (int64_t t = begin; t < end; t++) {
        if (seen[t - s]) sum += load(weights + (c.taps - 1 - (t - s)) * stride + e) * load(slot(t) + e);
      }
      to.store(at + e, sum, n);
    });
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
  call.team.split(c.channels, kWidth, [&](int64_t begin, int64_t end, int thread) {
    const int64_t count = end - begin;
    const Share share(c, g, begin, count, call.team.scratch(thread, Share::bytes(c, wholeVectors(count))));
    for (int64_t row = 0; row < c.batch; row++) {
      for (int64_t t = c.length - 1; t > -c.taps; t--) {
        if (t >= 0 && g.dy) share.output(row, t);
        share.input(row, t);
      }
    }
    share.finish();
  });
}

}  // namespace

void registerConvolutionBackward(KernelTable& table) {
  table.emplace("causalConvolutionBackward", causalConvolutionBackward);
}

}  // namespace braid::BRAID_VARIANT
