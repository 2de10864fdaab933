// Gradient norm, clipping, AdamW (Loshchilov and Hutter 2019) and accumulation.
#include <cmath>
#include <cstring>

#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Squares are added in float32 over 1024 elements at a time (16 per lane of four sums), in float64 from there on.
double sumOfSquares(const Source& g, int64_t begin, int64_t end) {
  constexpr int64_t block = 1024, ahead = 1024;
  double total = 0;
  for (int64_t first = begin; first < end; first += block) {
    const int64_t last = first + block < end ? first + block : end;
    f32x16 a = zero(), b = zero(), c = zero(), d = zero();
    int64_t i = first;
    for (; i + 4 * kWidth <= last; i += 4 * kWidth) {
      for (int64_t j = 0; j < 4; j++) g.prefetch(i + ahead + j * kWidth);
      const f32x16 p = g.load(i), q = g.load(i + kWidth), r = g.load(i + 2 * kWidth), s = g.load(i + 3 * kWidth);
      a += p * p;
      b += q * q;
      c += r * r;
      d += s * s;
    }
    forVectors(i, last, [&](int64_t j, int64_t n) {
      const f32x16 v = g.load(j, n);
      a += v * v;
    });
    total += sum((a + b) + (c + d));
  }
  return total;
}

// Gradients are cut into pieces of a quarter of a million elements. Whichever thread is free takes the next; the sums of the
// pieces are added in their order, so that the norm does not depend on who computed them, or how many did.
void gradientNorm(const Call& call) {
  if (!call.out(0)) return;
  constexpr int64_t piece = int64_t{1} << 18;
  const auto piecesOf = [&](size_t input) { return (call.in(input).count() + piece - 1) / piece; };
  int64_t pieces = 0;
  for (size_t input = 0; input < call.inputCount; input++) pieces += piecesOf(input);
  double* sums = reinterpret_cast<double*>(call.team.scratch(0, static_cast<size_t>(pieces) * sizeof(double)));
  call.team.share(pieces, 1, [&](int64_t index, int64_t, int) {
    size_t input = 0;
    int64_t at = index;
    for (; at >= piecesOf(input); input++) at -= piecesOf(input);
    const int64_t begin = at * piece, count = call.in(input).count();
    sums[index] = sumOfSquares(call.in(input), begin, begin + piece < count ? begin + piece : count);
  });
  double total = 0;
  for (int64_t index = 0; index < pieces; index++) total += sums[index];
  *call.out(0).as<float>() = static_cast<float>(std::sqrt(total));
}

void clipScale(const Call& call) {
  if (!call.out(0)) return;
  const float norm = *call.in(0).as<const float>(), loss = *call.in(1).as<const float>();
  const float limit = *call.in(2).as<const float>();
  float scale = 1;
  if (!std::isfinite(norm) || !std::isfinite(loss)) {
    scale = -1;
  } else if (limit > 0 && norm > limit) {
    scale = limit / norm;
  }
  *call.out(0).as<float>() = scale;
}

void copyUnlessShared(Team& team, const Tensor& from, const Sink& to, const void* toData) {
  if (!to || from.data == toData) return;
  const Source source = from;
  forVectors(team, from.count(), [&](int64_t i, int64_t n) { to.store(i, source.load(i, n), n); });
}

// One pass over memory: this step reads 16 bytes and writes 14 per parameter, and is as fast as the memory is.
void adamw(const Call& call) {
  const Source p = call.in(0), g = call.in(1), m = call.in(2), v = call.in(3);
  const Sink pNew = call.out(0), mNew = call.out(1), vNew = call.out(2), shadow = call.out(3);
  const float scale = *call.in(4).as<const float>(), rate = *call.in(5).as<const float>();
  if (scale < 0) {  // loss or norm was not finite: nothing changes
    for (size_t i = 0; i < 3; i++) {
      copyUnlessShared(call.team, call.in(i == 0 ? 0 : i + 1), call.out(i), call.out(i).data);
    }
    copyUnlessShared(call.team, call.in(0), shadow, nullptr);
    return;
  }
  const double step = *call.in(6).as<const float>();
  const double beta1 = call.attributes.number("beta1"), beta2 = call.attributes.number("beta2");
  const float epsilon = static_cast<float>(call.attributes.number("epsilon"));
  const float keep = static_cast<float>(1.0 - rate * call.attributes.number("decay"));
  const float b1 = static_cast<float>(beta1), a1 = static_cast<float>(1.0 - beta1);
  const float b2 = static_cast<float>(beta2), a2 = static_cast<float>(1.0 - beta2);
  // p − lr · (m / c1) / (√(v / c2) + ε)
  const float stepSize = static_cast<float>(rate / (1.0 - std::pow(beta1, step)));
  const float rootScale = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, step)));
  forVectors(call.team, call.in(0).count(), [&](int64_t i, int64_t n) {
    const f32x16 gradient = g.load(i, n) * scale;
    const f32x16 first = m.load(i, n) * b1 + gradient * a1;
    const f32x16 second = v.load(i, n) * b2 + gradient * gradient * a2;
    const f32x16 updated = p.load(i, n) * keep - first * stepSize / (squareRoot(second) * rootScale + epsilon);
    if (mNew) mNew.store(i, first, n);
    if (vNew) vNew.store(i, second, n);
    if (pNew) pNew.store(i, updated, n);
    if (shadow) shadow.store(i, updated, n);
  });
}

void accumulate(const Call& call) {
  const Source buffer = call.in(0), g = call.in(1);
  const Sink y = call.out(0);
  if (!y) return;
  const bool keep = *call.in(2).as<const float>() != 0;
  forVectors(call.team, call.out(0).count(),
             [&](int64_t i, int64_t n) { y.store(i, keep ? buffer.load(i, n) + g.load(i, n) : g.load(i, n), n); });
}

}  // namespace

void registerOptimizer(KernelTable& table) {
  table.emplace("gradientNorm", gradientNorm);
  table.emplace("clipScale", clipScale);
  table.emplace("adamw", adamw);
  table.emplace("accumulate", accumulate);
}

}  // namespace braid::BRAID_VARIANT
