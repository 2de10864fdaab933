#include "filterDirect.hpp"

#include <numeric>

#include "filterSlide.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Positions of a stretch: with the taps they fit into the first-level cache.
constexpr int64_t kStretch = 192;

struct Work {
  float *taps, *inputs, *outputs, *sums;  // rows of sixteen channels: lags, positions, positions, lags

  static size_t bytes(const Filter& f) {
    const int64_t rows = 2 * f.tapCount + 2 * (f.reach + kStretch + kSums);
    return static_cast<size_t>(rows * kWidth) * sizeof(float);
  }
  Work(const Filter& f, std::byte* memory) {
    Pieces pieces(memory);
    taps = pieces.take(f.tapCount * kWidth);
    inputs = pieces.take((f.reach + kStretch + kSums) * kWidth);
    outputs = pieces.take((f.reach + kStretch + kSums) * kWidth);
    sums = pieces.take(f.tapCount * kWidth);
  }
};

// The inputs that the outputs of a stretch see: inputs[reach + i] is that of position begin + i, zero outside the document.
void takeInputs(const Filter& f, const Stretch& part, int64_t first, float* inputs) {
  for (int64_t s = part.begin - f.reach; s < part.end; s++) {
    if (s >= 0) f.u.prefetch(f.inputAt(part.row, s) + first + kWidth);  // of the channels that come next
    store(inputs + (s - part.begin + f.reach) * kWidth, s < part.start ? zero() : f.input(part.row, s, first));
  }
}

void clearRows(float* rows, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) store(rows + i * kWidth, zero());
}

void forwardStretch(const Filter& f, const Stretch& part, int64_t first, const Work& work, const Sink& z) {
  const int64_t count = part.end - part.begin;
  takeInputs(f, part, first, work.inputs);
  clearRows(work.inputs, f.reach + count, f.reach + count + kSums);
  f32x16 sums[kSums];
  for (int64_t i = 0; i < count; i += kSums) {
    const int64_t lags = std::min(f.tapCount, part.begin + i + kSums - part.start);
    slide<kSums, -1>(work.taps, lags, work.inputs + (f.reach + i) * kWidth, sums);
    for (int64_t r = 0; r < kSums && i + r < count; r++) {
      z.store(f.inputAt(part.row, part.begin + i + r) + first, sums[r], f.lanes(first));
    }
  }
}

struct Gradients {
  Source dz, dNext;
  Sink du;
  float *dWindow, *sums;  // sums of the taps' gradients [lags, whole vectors of channels]
};

// The gradient of the input of a stretch: what comes through z, and through the new window.
void backwardStretch(const Filter& f, const Stretch& part, int64_t first, const Work& work, const Gradients& g) {
  const int64_t count = part.end - part.begin, lanes = f.lanes(first);
  for (int64_t i = 0; i < count + f.reach; i++) {
    const int64_t t = part.begin + i;
    const bool real = g.dz && t >= 0 && t < part.documentEnd;
    if (real) g.dz.prefetch(f.inputAt(part.row, t) + first + kWidth);
    store(work.outputs + i * kWidth, real ? g.dz.load(f.inputAt(part.row, t) + first, lanes) : zero());
  }
  clearRows(work.outputs, count + f.reach, count + f.reach + kSums);
  const bool last = part.documentEnd == f.length;
  f32x16 sums[kSums];
  for (int64_t i = 0; i < count; i += kSums) {
    const int64_t lags = std::min(f.tapCount, part.documentEnd - part.begin - i);
    slide<kSums, 1>(work.taps, lags, work.outputs + i * kWidth, sums);
    for (int64_t r = 0; r < kSums && i + r < count; r++) {
      const int64_t s = part.begin + i + r;
      f32x16 gradient = sums[r];
      if (last && g.dNext && s >= f.length - f.reach) {
        gradient += g.dNext.load(f.windowAt(part.row, s - f.length) + first, lanes);
      }
      if (s >= 0 && g.du) g.du.store(f.inputAt(part.row, s) + first, gradient, lanes);
      if (s < 0 && g.dWindow) storeLanes(g.dWindow + f.windowAt(part.row, s) + first, gradient, lanes);
    }
  }
}

// Adds Σ dz[t] · u[t − lag] over the positions of a stretch to the sums of its channels. dz stands in work.outputs.
void tapStretch(const Filter& f, const Stretch& part, int64_t first, const Work& work) {
  const int64_t count = part.end - part.begin, lags = std::min(f.tapCount, part.end - part.start);
  takeInputs(f, part, first, work.inputs);
  addLagProducts(work.outputs, work.inputs + f.reach * kWidth, count, lags, work.sums);
}

void backwardChannels(const Filter& f, int64_t first, const Work& work, const Gradients& g) {
  const int64_t lanes = f.lanes(first);
  f.spread(first, work.taps);
  clearRows(work.sums, 0, f.tapCount);
  for (int64_t row = 0; row < f.batch; row++) {
    for (int64_t s = -f.reach; g.dWindow && s < 0; s++) storeLanes(g.dWindow + f.windowAt(row, s) + first, zero(), lanes);
    forStretches(f, row, kStretch, g.dWindow != nullptr, [&](const Stretch& part) {
      backwardStretch(f, part, first, work, g);
      if (g.sums && g.dz && part.begin >= 0) tapStretch(f, part, first, work);
    });
  }
  for (int64_t lag = 0; g.sums && lag < f.tapCount; lag++) {
    store(g.sums + lag * padded(f.channels) + first, load(work.sums + lag * kWidth));
  }
}

}  // namespace

void convolveDirect(const Call& call, const Filter& f) {
  const Sink z = call.out(0);
  const int64_t strips = stripCount(f.channels);  // of whole cache lines
  call.team.share(f.batch * strips, 1, [&](int64_t unit, int64_t, int thread) {
    const Work work(f, call.team.scratch(thread, Work::bytes(f)));
    const int64_t row = unit / strips, begin = unit % strips * kStrip;
    for (int64_t first = begin; first < std::min(begin + kStrip, f.channels); first += kWidth) {
      f.spread(first, work.taps);
      forStretches(f, row, kStretch, false, [&](const Stretch& part) { forwardStretch(f, part, first, work, z); });
    }
  });
}

void convolveDirectBack(const Call& call, const Filter& f) {
  const Sink dTaps = call.out(1);
  const Gradients g{optional(call, 5), optional(call, 6), call.out(0), call.out(2).as<float>(),
                    dTaps ? reinterpret_cast<float*>(call.workspace) : nullptr};
  call.team.share(f.vectors, kStripVectors, [&](int64_t begin, int64_t end, int thread) {
    const Work work(f, call.team.scratch(thread, Work::bytes(f)));
    for (int64_t v = begin; v < end; v++) backwardChannels(f, v * kWidth, work, g);
  });
  if (dTaps) addGroups(call.team, f, g.sums, padded(f.channels), dTaps);
}

void addGroups(Team& team, const Filter& f, const float* sums, int64_t stride, const Sink& dTaps) {
  team.split(f.groups, rowGrain(f.width * f.tapCount), [&](int64_t begin, int64_t end, int) {
    for (int64_t group = begin; group < end; group++) {
      for (int64_t lag = 0; lag < f.tapCount; lag++) {
        const float* own = sums + lag * stride + group * f.width;
        dTaps.put(group * f.tapCount + lag, std::accumulate(own, own + f.width, 0.0f));
      }
    }
  });
}

}  // namespace braid::BRAID_VARIANT
