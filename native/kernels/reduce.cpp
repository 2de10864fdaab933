// Sums. Every thread adds up its own rows; the partial sums are added in thread order.
#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// y[D] = Σ over rows of value(element index, lanes). Rows are added in blocks, so that the rounding error grows with the
// block and the number of blocks instead of the number of rows.
template <typename Value>
void sumRows(Team& team, int64_t rows, int64_t width, const Sink& y, const Value& value) {
  constexpr int64_t block = 64;
  const int64_t padded = (width + kWidth - 1) / kWidth * kWidth;
  const size_t bytes = static_cast<size_t>(2 * padded) * sizeof(float);
  team.run([&](int thread) {
    float* total = reinterpret_cast<float*>(team.scratch(thread, bytes));
    float* part = total + padded;
    for (int64_t i = 0; i < padded; i += kWidth) store(total + i, zero());
    const int64_t end = rows * (thread + 1) / team.size();
    for (int64_t first = rows * thread / team.size(); first < end; first += block) {
      for (int64_t i = 0; i < padded; i += kWidth) store(part + i, zero());
      for (int64_t row = first; row < end && row < first + block; row++) {
        forVectors(0, width,
                   [&](int64_t i, int64_t n) { store(part + i, load(part + i) + value(row * width + i, n)); });
      }
      for (int64_t i = 0; i < padded; i += kWidth) store(total + i, load(total + i) + load(part + i));
    }
  });
  forVectors(0, width, [&](int64_t i, int64_t n) {
    f32x16 sum = zero();
    for (int thread = 0; thread < team.size(); thread++) {
      sum += load(reinterpret_cast<const float*>(team.scratch(thread, bytes)) + i);
    }
    y.store(i, sum, n);
  });
}

void channelDot(const Call& call) {
  const Source x = call.in(0), y = call.in(1);
  if (!call.out(0)) return;
  sumRows(call.team, call.in(0).rows(), call.in(0).last(), call.out(0),
          [&](int64_t i, int64_t n) { return x.load(i, n) * y.load(i, n); });
}

void channelSum(const Call& call) {
  const Source x = call.in(0);
  if (!call.out(0)) return;
  sumRows(call.team, call.in(0).rows(), call.in(0).last(), call.out(0),
          [&](int64_t i, int64_t n) { return x.load(i, n); });
}

// y[1] = Σ value(i, lanes): float32 within a block, float64 between blocks.
template <typename Value>
void sumAll(Team& team, int64_t count, const Sink& y, const Value& value) {
  constexpr int64_t block = 4096;
  const int64_t blocks = (count + block - 1) / block;
  team.run([&](int thread) {
    double total = 0;
    const int64_t end = blocks * (thread + 1) / team.size();
    for (int64_t b = blocks * thread / team.size(); b < end; b++) {
      f32x16 part = zero();
      const int64_t last = (b + 1) * block < count ? (b + 1) * block : count;
      forVectors(b * block, last, [&](int64_t i, int64_t n) { part += value(i, n); });
      total += sum(part);
    }
    *reinterpret_cast<double*>(team.scratch(thread, sizeof(double))) = total;
  });
  double total = 0;
  for (int thread = 0; thread < team.size(); thread++) {
    total += *reinterpret_cast<const double*>(team.scratch(thread, sizeof(double)));
  }
  y.put(0, static_cast<float>(total));
}

void sumElements(const Call& call) {
  const Source x = call.in(0);
  if (!call.out(0)) return;
  sumAll(call.team, call.in(0).count(), call.out(0), [&](int64_t i, int64_t n) { return x.load(i, n); });
}

void dot(const Call& call) {
  const Source a = call.in(0), b = call.in(1);
  if (!call.out(0)) return;
  sumAll(call.team, call.in(0).count(), call.out(0),
         [&](int64_t i, int64_t n) { return a.load(i, n) * b.load(i, n); });
}

}  // namespace

void registerReduce(KernelTable& table) {
  table.emplace("channelDot", channelDot);
  table.emplace("channelSum", channelSum);
  table.emplace("sum", sumElements);
  table.emplace("dot", dot);
}

}  // namespace braid::BRAID_VARIANT
