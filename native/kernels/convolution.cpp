// Causal depthwise convolution, forward. Every thread owns a range of positions.
#include "convolution.hpp"

#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Channels e … e + lanes along a tile. The line `ahead` channels further is asked for meanwhile.
template <int K, bool Cut>
void walk(const Convolution& c, const TapTile& tile, int64_t e, int64_t lanes, int64_t ahead, const float* weights,
          int64_t stride, const Sink& y) {
  const int64_t taps = K > 0 ? K : c.taps;
  TapVectors<K> weight, x;
  const f32x16 bias = c.bias ? c.bias.load(e, lanes) : zero();
  forStates<K>(taps, [&](int64_t k) { weight[k] = load(weights + k * stride + e); });
  // The inputs of the position before the first one, in their places.
  for (int64_t k = 1; k < taps; k++) x[k] = c.input(tile.row, tile.begin - taps + k, e, lanes);
  for (int64_t t = tile.begin; t < tile.end; t++) {
    const int64_t at = c.offset(tile.row, t) + e;
    c.x.prefetch(at + ahead);
    forStates<K>(taps, [&](int64_t k) { x[k] = k + 1 < taps ? x[k + 1] : c.x.load(at, lanes); });
    f32x16 sum = bias;
    forStates<K>(taps, [&](int64_t k) {
      if (!Cut || tile.sees(t, k)) sum += weight[k] * x[k];
    });
    y.store(at, c.silu ? sum * logistic(sum) : sum, lanes);
  }
}

void filterTile(const Convolution& c, const TapTile& tile, const float* weights, int64_t stride, const Sink& y) {
  withTaps(c.taps, !tile.seesAll, [&](auto taps, auto cut) {
    forVectors(0, c.channels, [&](int64_t e, int64_t n) {
      walk<decltype(taps)::value, decltype(cut)::value>(c, tile, e, n, kLineChannels, weights, stride, y);
    });
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
  const int64_t stride = padded(c.channels);
  if (y) {
    call.team.split(c.batch * c.length, rowGrain(c.channels), [&](int64_t begin, int64_t end, int thread) {
      const size_t bytes = static_cast<size_t>(c.taps * stride) * sizeof(float);
      float* weights = reinterpret_cast<float*>(call.team.scratch(thread, bytes));
      c.transposeWeights(0, c.channels, stride, weights);
      for (int64_t p = begin; p < end;) {
        const int64_t row = p / c.length, t = p % c.length;
        const int64_t count = std::min({kTile, end - p, c.length - t});
        filterTile(c, TapTile(c, row, t, t + count), weights, stride, y);
        p += count;
      }
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
