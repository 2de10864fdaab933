// RMSNorm (Zhang and Sennrich 2019): y = x · r · w with r = 1 / √(mean x² + ε), one r per row.
#include <cmath>

#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

float inverseRoot(const Source& x, int64_t first, int64_t width, float epsilon) {
  f32x16 even = zero(), odd = zero();
  int64_t i = 0;
  for (; i + 2 * kWidth <= width; i += 2 * kWidth) {
    const f32x16 a = x.load(first + i), b = x.load(first + i + kWidth);
    even += a * a;
    odd += b * b;
  }
  forVectors(i, width, [&](int64_t j, int64_t n) {
    const f32x16 a = x.load(first + j, n);
    even += a * a;
  });
  return 1.0f / std::sqrt(sum(even + odd) / static_cast<float>(width) + epsilon);
}

void rmsNorm(const Call& call) {
  const Source x = call.in(0), weight = optional(call, 1);
  const Sink y = call.out(0);
  if (!y) return;
  const int64_t width = call.in(0).last();
  const float epsilon = static_cast<float>(call.attributes.number("epsilon"));
  call.team.split(call.in(0).rows(), rowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; row++) {
      const int64_t first = row * width;
      const f32x16 r = splat(inverseRoot(x, first, width, epsilon));
      forVectors(0, width, [&](int64_t i, int64_t n) {
        const f32x16 normed = x.load(first + i, n) * r;
        y.store(first + i, weight ? normed * weight.load(i, n) : normed, n);
      });
    }
  });
}

// dx = r · (w·dy − x · r² · mean(w·dy·x)) + addend, dw = Σ over rows of dy · x · r. Every thread sums dw over its own rows.
// dx may lie over any input of its shape: a row is read as a whole before it is written, and then element by element.
void rmsNormBackward(const Call& call) {
  const Source x = call.in(0), weight = optional(call, 1), dy = call.in(2), addend = optional(call, 3);
  const Sink dx = call.out(0), dWeight = call.out(1), dxLow = call.out(2);
  const int64_t rows = call.in(0).rows(), width = call.in(0).last();
  const float epsilon = static_cast<float>(call.attributes.number("epsilon"));
  Team& team = call.team;
  const size_t bytes = static_cast<size_t>(width + kWidth) * sizeof(float);
  team.run([&](int thread) {
    float* dw = reinterpret_cast<float*>(team.scratch(thread, bytes));
    for (int64_t i = 0; i < width; i += kWidth) store(dw + i, zero());
    const int64_t end = rows * (thread + 1) / team.size();
    for (int64_t row = rows * thread / team.size(); row < end; row++) {
      const int64_t first = row * width, next = row + 1 < end ? width : 0;
      const float r = inverseRoot(x, first, width, epsilon);
      f32x16 dot = zero();
      forVectors(0, width, [&](int64_t i, int64_t n) {
        const f32x16 product = x.load(first + i, n) * dy.load(first + i, n);
        dot += weight ? product * weight.load(i, n) : product;
        store(dw + i, load(dw + i) + product * r);
      });
      if (!dx && !dxLow) continue;
      const float pull = r * r * r * sum(dot) / static_cast<float>(width);
      forVectors(0, width, [&](int64_t i, int64_t n) {
        x.prefetch(first + next + i);
        dy.prefetch(first + next + i);
        if (addend) addend.prefetch(first + next + i);
        const f32x16 d = dy.load(first + i, n) * r;
        f32x16 slope = (weight ? d * weight.load(i, n) : d) - x.load(first + i, n) * pull;
        if (addend) slope += addend.load(first + i, n);
        if (dx) dx.store(first + i, slope, n);
        if (dxLow) dxLow.store(first + i, slope, n);
      });
    }
  });
  if (!dWeight) return;
  forVectors(0, width, [&](int64_t i, int64_t n) {
    f32x16 total = zero();
    for (int thread = 0; thread < team.size(); thread++) {
      total += load(reinterpret_cast<const float*>(team.scratch(thread, bytes)) + i);
    }
    dWeight.store(i, total, n);
  });
}

}  // namespace

void registerNorm(KernelTable& table) {
  table.emplace("rmsNorm", rmsNorm);
  table.emplace("rmsNormBackward", rmsNormBackward);
}

}  // namespace braid::BRAID_VARIANT
