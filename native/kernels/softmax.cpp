// Softmax over the last axis, row by row.
#include "math.hpp"
#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Lanes that do not exist become `other`.
f32x16 onlyFirst(const f32x16& v, int64_t lanes, float other) {
  if (lanes == kWidth) return v;
  float whole[kWidth];
  store(whole, v);
  for (int64_t i = lanes; i < kWidth; i++) whole[i] = other;
  return load(whole);
}

void softmaxRow(const Source& x, const Sink& y, int64_t at, int64_t width) {
  const float lowest = -__builtin_inff();
  f32x16 top = splat(lowest);
  forVectors(at, at + width, [&](int64_t i, int64_t n) { top = max(onlyFirst(x.load(i, n), n, lowest), top); });
  const float largest = maximum(top);
  f32x16 total = zero();
  forVectors(at, at + width, [&](int64_t i, int64_t n) { total += onlyFirst(exp(x.load(i, n) - largest), n, 0); });
  const float factor = 1.0f / sum(total);
  forVectors(at, at + width, [&](int64_t i, int64_t n) { y.store(i, exp(x.load(i, n) - largest) * factor, n); });
}

void softmax(const Call& call) {
  const Source x = call.in(0);
  const Sink y = call.out(0);
  if (!y) return;
  const int64_t width = call.in(0).last();
  call.team.split(call.in(0).rows(), rowGrain(8 * width), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; row++) softmaxRow(x, y, row * width, width);
  });
}

void softmaxBackward(const Call& call) {
  const Source y = call.in(0), dy = call.in(1);
  const Sink dx = call.out(0);
  if (!dx) return;
  const int64_t width = call.in(0).last();
  call.team.split(call.in(0).rows(), rowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; row++) {
      f32x16 sums = zero();
      const int64_t at = row * width;
      forVectors(at, at + width, [&](int64_t i, int64_t n) { sums += y.load(i, n) * dy.load(i, n); });
      const float common = sum(sums);
      forVectors(at, at + width, [&](int64_t i, int64_t n) { dx.store(i, y.load(i, n) * (dy.load(i, n) - common), n); });
    }
  });
}

}  // namespace

void registerSoftmax(KernelTable& table) {
  table.emplace("softmax", softmax);
  table.emplace("softmaxBackward", softmaxBackward);
}

}  // namespace braid::BRAID_VARIANT
