// Element by element, and per channel: the section "Elementwise and reductions" of docs/operations.md without reductions.
#include "activation.hpp"
#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

template <typename Combine>
void binary(const Call& call, const Combine& combine) {
  const Source a = call.in(0), b = call.in(1);
  const Sink y = call.out(0);
  if (!y) return;
  forVectors(call.team, call.out(0).count(),
             [=](int64_t i, int64_t n) { y.store(i, combine(a.load(i, n), b.load(i, n)), n); });
}

void add(const Call& call) {
  binary(call, [](const f32x16& a, const f32x16& b) { return a + b; });
}

void subtract(const Call& call) {
  binary(call, [](const f32x16& a, const f32x16& b) { return a - b; });
}

void multiply(const Call& call) {
  binary(call, [](const f32x16& a, const f32x16& b) { return a * b; });
}

void scaleBy(const Call& call, float factor) {
  const Source x = call.in(0);
  const Sink y = call.out(0);
  if (!y) return;
  forVectors(call.team, call.out(0).count(), [=](int64_t i, int64_t n) { y.store(i, x.load(i, n) * factor, n); });
}

void scale(const Call& call) { scaleBy(call, static_cast<float>(call.attributes.number("factor"))); }

void multiplyScalar(const Call& call) { scaleBy(call, Source(call.in(1)).at(0)); }

void activation(const Call& call) {
  const Source x = call.in(0);
  const Sink y = call.out(0);
  if (!y) return;
  withActivation(call.attributes.text("kind"), [&](auto kind) {
    forVectors(call.team, call.out(0).count(),
               [=](int64_t i, int64_t n) { y.store(i, kind.value(x.load(i, n)), n); });
  });
}

void activationBackward(const Call& call) {
  const Source x = call.in(0), dy = call.in(1);
  const Sink dx = call.out(0);
  if (!dx) return;
  withActivation(call.attributes.text("kind"), [&](auto kind) {
    forVectors(call.team, call.out(0).count(),
               [=](int64_t i, int64_t n) { dx.store(i, dy.load(i, n) * kind.slope(x.load(i, n)), n); });
  });
}

void glu(const Call& call) {
  const Source gate = call.in(0), up = call.in(1);
  const Sink y = call.out(0);
  if (!y) return;
  withActivation(call.attributes.text("kind"), [&](auto kind) {
    forVectors(call.team, call.out(0).count(),
               [=](int64_t i, int64_t n) { y.store(i, kind.value(gate.load(i, n)) * up.load(i, n), n); });
  });
}

void gluBackward(const Call& call) {
  const Source gate = call.in(0), up = call.in(1), dy = call.in(2);
  const Sink dGate = call.out(0), dUp = call.out(1);
  withActivation(call.attributes.text("kind"), [&](auto kind) {
    forVectors(call.team, call.in(0).count(), [=](int64_t i, int64_t n) {
      const f32x16 d = dy.load(i, n), u = up.load(i, n);
      f32x16 slope;
      const f32x16 value = valueAndSlope(kind, gate.load(i, n), slope);
      if (dGate) dGate.store(i, d * u * slope, n);
      if (dUp) dUp.store(i, d * value, n);
    });
  });
}

template <typename Combine>
void channels(const Call& call, const Combine& combine) {
  const Source x = call.in(0), w = call.in(1);
  const Sink y = call.out(0);
  if (!y) return;
  const int64_t width = call.in(0).last();
  call.team.split(call.in(0).rows(), rowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; row++) {
      forVectors(0, width, [&](int64_t i, int64_t n) {
        y.store(row * width + i, combine(x.load(row * width + i, n), w.load(i, n)), n);
      });
    }
  });
}

void multiplyChannels(const Call& call) {
  channels(call, [](const f32x16& x, const f32x16& w) { return x * w; });
}

void addChannels(const Call& call) {
  channels(call, [](const f32x16& x, const f32x16& b) { return x + b; });
}

}  // namespace

void registerElementwise(KernelTable& table) {
  table.emplace("add", add);
  table.emplace("subtract", subtract);
  table.emplace("multiply", multiply);
  table.emplace("scale", scale);
  table.emplace("multiplyScalar", multiplyScalar);
  table.emplace("activation", activation);
  table.emplace("activationBackward", activationBackward);
  table.emplace("glu", glu);
  table.emplace("gluBackward", gluBackward);
  table.emplace("multiplyChannels", multiplyChannels);
  table.emplace("addChannels", addChannels);
}

}  // namespace braid::BRAID_VARIANT
