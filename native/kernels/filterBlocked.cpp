#include "filterBlocked.hpp"

#include "tileProduct.hpp"
#include "turn.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int64_t kBlocks = 4;  // taken from memory together

// Toeplitz factors next to each other: [block, depth], for a block of outputs and the inputs up to its last one.
struct Factors {
  int64_t block, before, depth;  // rows; inputs before the block; all inputs
  int64_t strips;                // of up to 64 channels in a group

  Factors(const Call& call, const Filter& f) {
    block = std::min(call.attributes.integer("block"), f.length);
    before = (f.reach + block - 1) / block * block;
    depth = before + block;
    strips = stripCount(f.width);
  }
  int64_t stretch() const { return kBlocks * block; }
  int64_t units(const Filter& f) const { return f.groups * strips; }
};

// The channels of a strip of one group.
struct Strip {
  int64_t group, first, count;

  Strip(const Filter& f, const Factors& factors, int64_t unit) : group(unit / factors.strips) {
    const int64_t offset = unit % factors.strips * kStrip;
    first = group * f.width + offset;
    count = std::min(kStrip, f.width - offset);
  }
  int64_t vectors() const { return (count + kWidth - 1) / kWidth; }
};

struct Work {
  float* taps;                       // of lags −(block − 1) … depth − 1
  float *inputs, *outputs, *result;  // [positions, channels of a strip]
  float *turned, *sums;              // [channels, inputs of a block]; gradients of the factors [block, depth]

  static int64_t rows(const Factors& x) { return x.before + x.stretch(); }
  static size_t bytes(const Factors& x) {
    const int64_t floats = x.block + x.depth + (2 * rows(x) + x.block) * kStrip + (kStrip + x.block) * padded(x.depth);
    return static_cast<size_t>(floats + 8 * kWidth) * sizeof(float);
  }
  Work(const Factors& x, std::byte* memory) {
    Pieces pieces(memory);
    taps = pieces.take(x.block + x.depth);
    inputs = pieces.take(rows(x) * kStrip);
    outputs = pieces.take(rows(x) * kStrip);
    result = pieces.take(x.block * kStrip);
    turned = pieces.take(kStrip * padded(x.depth));
    sums = pieces.take(x.block * padded(x.depth));
  }
};

void takeTaps(const Filter& f, const Factors& x, int64_t group, float* taps) {
  std::fill(taps, taps + x.block + x.depth, 0.0f);
  for (int64_t lag = 0; lag < f.tapCount; lag++) taps[x.block - 1 + lag] = f.taps.at(group * f.tapCount + lag);
}

// body(channel within the strip, lanes).
template <typename Body>
inline void forLanes(const Strip& strip, const Body& body) {
  forVectors(0, strip.count, body);
}

// Inputs from `before` positions before a stretch to its last block; zero outside the document.
void takeInputs(const Filter& f, const Factors& x, const Strip& strip, const Stretch& part, float* inputs) {
  for (int64_t i = 0; i < Work::rows(x); i++) {
    const int64_t s = part.begin - x.before + i;
    float* row = inputs + i * kStrip;
    forLanes(strip, [&](int64_t c, int64_t n) {
      f32x16 value = zero();
      if (s >= part.start && s < 0) value = f.window.load(f.windowAt(part.row, s) + strip.first + c, n);
      if (s >= part.start && s >= 0 && s < part.end) value = f.u.load(f.inputAt(part.row, s) + strip.first + c, n);
      store(row + c, value);
    });
  }
}

// Gradients of outputs from the first position of a stretch on, zero after its document.
void takeOutputs(const Filter& f, const Factors& x, const Strip& strip, const Stretch& part, const Source& dz, float* outputs) {
  for (int64_t i = 0; i < Work::rows(x); i++) {
    const int64_t t = part.begin + i;
    float* row = outputs + i * kStrip;
    forLanes(strip, [&](int64_t c, int64_t n) {
      const bool real = dz && t >= 0 && t < part.documentEnd;
      store(row + c, real ? dz.load(f.inputAt(part.row, t) + strip.first + c, n) : zero());
    });
  }
}

void forwardStretch(const Filter& f, const Factors& x, const Strip& strip, const Stretch& part, const Work& work, const Sink& z) {
  takeInputs(f, x, strip, part, work.inputs);
  for (int64_t begin = part.begin; begin < part.end; begin += x.block) {
    const int64_t count = std::min(x.block, part.end - begin);
    const float* inputs = work.inputs + (begin - part.begin) * kStrip;
    tileProduct({x.depth, work.taps + x.depth - 1, 1, -1, inputs, kStrip, work.result, kStrip, false}, count,
                strip.vectors());
    for (int64_t i = 0; i < count; i++) {
      const int64_t at = f.inputAt(part.row, begin + i) + strip.first;
      forLanes(strip, [&](int64_t c, int64_t n) { z.store(at + c, load(work.result + i * kStrip + c), n); });
    }
  }
}

struct Gradients {
  Source dz, dNext;
  Sink du;
  float *dWindow, *sums;  // sums of the taps' gradients [strips of all groups, lags]
};

void storeGradient(const Filter& f, const Strip& strip, const Stretch& part, int64_t s, const float* row, const Gradients& g) {
  const bool kept = g.dNext && part.documentEnd == f.length && s >= f.length - f.reach;
  forLanes(strip, [&](int64_t c, int64_t n) {
    f32x16 gradient = load(row + c);
    if (kept) gradient += g.dNext.load(f.windowAt(part.row, s - f.length) + strip.first + c, n);
    if (s >= 0 && g.du) g.du.store(f.inputAt(part.row, s) + strip.first + c, gradient, n);
    if (s < 0 && g.dWindow) storeLanes(g.dWindow + f.windowAt(part.row, s) + strip.first + c, gradient, n);
  });
}

void backwardStretch(const Filter& f, const Factors& x, const Strip& strip, const Stretch& part, const Work& work,
                     const Gradients& g) {
  takeOutputs(f, x, strip, part, g.dz, work.outputs);
  for (int64_t begin = part.begin; begin < part.end; begin += x.block) {
    const int64_t count = std::min(x.block, part.end - begin);
    const float* outputs = work.outputs + (begin - part.begin) * kStrip;
    tileProduct({x.depth, work.taps + x.block - 1, -1, 1, outputs, kStrip, work.result, kStrip, false}, count,
                strip.vectors());
    for (int64_t i = 0; i < count; i++) storeGradient(f, strip, part, begin + i, work.result + i * kStrip, g);
  }
}

// Adds dZ Xᵀ of the blocks of a stretch to the gradients of the factors. dZ stands in work.outputs.
void factorStretch(const Filter& f, const Factors& x, const Strip& strip, const Stretch& part, const Work& work) {
  takeInputs(f, x, strip, part, work.inputs);
  Tensor inputs;
  inputs.data = work.inputs;
  const int64_t stride = padded(x.depth);
  for (int64_t begin = part.begin; begin < part.end; begin += x.block) {
    const int64_t at = (begin - part.begin) * kStrip;
    rowsToColumns(inputs, at, kStrip, x.depth, strip.count, work.turned, stride);
    tileProduct({strip.count, work.outputs + at, kStrip, 1, work.turned, stride, work.sums, stride, true},
                std::min(x.block, part.end - begin), stride / kWidth);
  }
}

// Every tap stands on one diagonal of the factors.
void addDiagonals(const Filter& f, const Factors& x, const float* factors, float* sums) {
  for (int64_t lag = 0; lag < f.tapCount; lag++) {
    float sum = 0;
    for (int64_t i = 0; i < x.block; i++) sum += factors[i * padded(x.depth) + x.before + i - lag];
    sums[lag] = sum;
  }
}

void backwardStrip(const Filter& f, const Factors& x, int64_t unit, const Work& work, const Gradients& g) {
  const Strip strip(f, x, unit);
  takeTaps(f, x, strip.group, work.taps);
  std::fill(work.sums, work.sums + x.block * padded(x.depth), 0.0f);
  for (int64_t row = 0; row < f.batch; row++) {
    for (int64_t s = -f.reach; g.dWindow && s < 0; s++) {
      float* own = g.dWindow + f.windowAt(row, s) + strip.first;
      std::fill(own, own + strip.count, 0.0f);
    }
    forStretches(f, row, x.stretch(), g.dWindow != nullptr, [&](const Stretch& part) {
      backwardStretch(f, x, strip, part, work, g);
      if (g.sums && g.dz && part.begin >= 0) factorStretch(f, x, strip, part, work);
    });
  }
  if (g.sums) addDiagonals(f, x, work.sums, g.sums + unit * f.tapCount);
}

}  // namespace

void convolveBlocked(const Call& call, const Filter& f) {
  const Factors x(call, f);
  const Sink z = call.out(0);
  call.team.share(x.units(f) * f.batch, 1, [&](int64_t unit, int64_t, int thread) {
    const Work work(x, call.team.scratch(thread, Work::bytes(x)));
    const Strip strip(f, x, unit / f.batch);
    takeTaps(f, x, strip.group, work.taps);
    forStretches(f, unit % f.batch, x.stretch(), false,
                 [&](const Stretch& part) { forwardStretch(f, x, strip, part, work, z); });
  });
}

void convolveBlockedBack(const Call& call, const Filter& f) {
  const Factors x(call, f);
  const Sink dTaps = call.out(1);
  const Gradients g{optional(call, 5), optional(call, 6), call.out(0), call.out(2).as<float>(),
                    dTaps ? reinterpret_cast<float*>(call.workspace) : nullptr};
  call.team.share(x.units(f), 1, [&](int64_t unit, int64_t, int thread) {
    backwardStrip(f, x, unit, Work(x, call.team.scratch(thread, Work::bytes(x))), g);
  });
  for (int64_t i = 0; dTaps && i < f.groups * f.tapCount; i++) {
    float sum = 0;
    for (int64_t strip = 0; strip < x.strips; strip++) {
      sum += g.sums[(i / f.tapCount * x.strips + strip) * f.tapCount + i % f.tapCount];
    }
    dTaps.put(i, sum);
  }
}

}  // namespace braid::BRAID_VARIANT
