// Causal depthwise convolution, forward: position by position, all channels of a position in a row.
#include "convolution.hpp"

#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

void filterPosition(const Convolution& c, int64_t row, int64_t t, const float* weights, int64_t stride, const Sink& y) {
  const Taps taps(c, row, t);
  const int64_t at = c.offset(row, t);
  forVectors(0, c.channels, [&](int64_t e, int64_t n) {
    f32x16 sum = c.bias ? c.bias.load(e, n) : zero();
    for (int64_t tap = 0; tap < c.taps; tap++) {
      if (taps.seen[tap]) sum += load(weights + tap * stride + e) * taps.input(tap, e, n);
    }
    y.store(at + e, c.silu ? Silu::value(sum) : sum, n);
  });
}

// The last K − 1 inputs. Runs from the oldest on, so that a short piece may shift the window in place.
void nextWindow(const Convolution& c, int64_t row, const Sink& next) {
  for (int64_t j = 0; j < c.taps - 1; j++) {
    const int64_t s = c.length - (c.taps - 1) + j, to = (row * (c.taps - 1) + j) * c.channels;
    const bool kept = c.sees(row, s, c.length - 1);
    forVectors(0, c.channels, [&](int64_t e, int64_t n) {
      next.store(to + e, kept ? c.holder(s).load(c.offset(row, s) + e, n) : zero(), n);
    });
  }
}

void causalConvolution(const Call& call) {
  const Convolution c(call);
  const Sink y = call.out(0), window = call.out(1);
  int32_t* document = call.out(2).as<int32_t>();
  const int64_t stride = wholeVectors(c.channels);
  if (y) {
    call.team.split(c.batch * c.length, rowGrain(c.channels), [&](int64_t begin, int64_t end, int thread) {
      const size_t bytes = static_cast<size_t>(c.taps * stride) * sizeof(float);
      float* weights = reinterpret_cast<float*>(call.team.scratch(thread, bytes));
      c.transposeWeights(0, c.channels, stride, weights);
      for (int64_t p = begin; p < end; p++) filterPosition(c, p / c.length, p % c.length, weights, stride, y);
    });
  }
  for (int64_t row = 0; row < c.batch; row++) {
    if (window) nextWindow(c, row, window);
    if (document) document[row] = c.documents ? c.documents[(row + 1) * c.length - 1] : 0;
  }
}

}  // namespace

void registerConvolution(KernelTable& table) { table.emplace("causalConvolution", causalConvolution); }

}  // namespace braid::BRAID_VARIANT
