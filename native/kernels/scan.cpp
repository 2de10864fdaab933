// The selective scan of Mamba-1 (Gu and Dao 2023, algorithm 2), forward. Every thread owns groups of sixteen channels.
#include "scan.hpp"

#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Outputs {
  Sink y;
  float *checkpoints, *state;
};

// One group of channels over a whole row. N: the number of states, or 0.
template <int N>
void scanRow(const Scan& s, const Channels& channels, int64_t row, const float* b, const float* c, const Outputs& out) {
  const int64_t states = N > 0 ? N : s.states;
  alignas(64) float decay[kMaxStates * kWidth], memory[kMaxStates * kWidth];
  f32x16 h[N > 0 ? N : kMaxStates];
  loadDecay(s, channels, decay);
  const auto keep = [&](float* to, int64_t at) {
    forStates<N>(states, [&](int64_t n) { store(memory + n * kWidth, h[n]); });
    turnOut(memory, channels.lanes, states, to + at * states);
  };
  if (s.state) turnIn(s.state, (row * s.channels + channels.first) * states, channels.lanes, states, memory);
  forStates<N>(states, [&](int64_t n) { h[n] = s.state ? load(memory + n * kWidth) : zero(); });

  constexpr int64_t ahead = 32;
  alignas(64) float deltas[ahead * kWidth], inputs[ahead * kWidth];
  for (int64_t t = 0; t < s.length; t++) {
    if (t % ahead == 0) {
      takeSteps(s, channels, row, t, std::min(ahead, s.length - t), {deltas, inputs, nullptr});
    }
    if (out.checkpoints && t % s.chunk == 0) {
      keep(out.checkpoints, (row * s.chunks + t / s.chunk) * s.channels + channels.first);
    }
    if (s.startsAfresh(row, t)) forStates<N>(states, [&](int64_t n) { h[n] = zero(); });
    const f32x16 delta = load(deltas + t % ahead * kWidth), x = load(inputs + t % ahead * kWidth);
    const f32x16 input = delta * x;
    f32x16 y[2] = {channels.d * x, zero()};
    forStates<N>(states, [&](int64_t n) {
      h[n] = exp2(delta * load(decay + n * kWidth)) * h[n] + input * b[t * states + n];
      y[n % 2] += h[n] * c[t * states + n];
    });
    const int64_t at = (row * s.length + t) * s.channels + channels.first;
    if (out.y) out.y.store(at, y[0] + y[1], channels.lanes);
  }
  if (out.state) keep(out.state, row * s.channels + channels.first);
}

void selectiveScan(const Call& call) {
  const Scan s(call);
  const Outputs out{call.out(0), call.out(1).as<float>(), call.out(2).as<float>()};
  int32_t* document = call.out(3).as<int32_t>();
  const int64_t size = s.length * s.states;
  call.team.split(s.groups, 1, [&](int64_t begin, int64_t end, int thread) {
    float* buffer = reinterpret_cast<float*>(call.team.scratch(thread, static_cast<size_t>(2 * size) * sizeof(float)));
    for (int64_t row = 0; row < s.batch; row++) {
      const float* b = floatRows(s.b, row * size, size, buffer);
      const float* c = floatRows(s.c, row * size, size, buffer + size);
      withStates(s.states, [&](auto states) {
        for (int64_t group = begin; group < end; group++) {
          scanRow<decltype(states)::value>(s, Channels(s, group), row, b, c, out);
        }
      });
    }
  });
  for (int64_t row = 0; document && row < s.batch; row++) {
    document[row] = s.documents ? s.documents[(row + 1) * s.length - 1] : 0;
  }
}

}  // namespace

void registerScan(KernelTable& table) { table.emplace("selectiveScan", selectiveScan); }

}  // namespace braid::BRAID_VARIANT
