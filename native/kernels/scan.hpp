// What both directions of the selective scan share. Sixteen channels stand in the lanes of a vector; the states of a group
// of channels are N such vectors. In memory states are [E, N], so they are turned when they are loaded or stored.
#pragma once
#include <algorithm>
#include <utility>

#include "math.hpp"
#include "operand.hpp"

namespace braid::BRAID_VARIANT {

constexpr int kMaxStates = 64;

struct Scan {
  Source x, dt, aLog, b, c, d, dtBias, state;
  const int32_t *documents, *document;
  int64_t batch, length, channels, states, chunk, chunks, groups;

  explicit Scan(const Call& call)
      : x(call.in(0)),
        dt(call.in(1)),
        aLog(call.in(2)),
        b(call.in(3)),
        c(call.in(4)),
        d(call.in(5)),
        dtBias(call.in(6)),
        state(optional(call, 8)),
        documents(optional(call, 7).as<const int32_t>()),
        document(optional(call, 9).as<const int32_t>()),
        batch(call.in(0).shape[0]),
        length(call.in(0).shape[1]),
        channels(call.in(0).shape[2]),
        states(call.in(2).shape[1]),
        chunk(call.attributes.integer("chunk")),
        chunks((length + chunk - 1) / chunk),
        groups((channels + kWidth - 1) / kWidth) {}

  // Whether a document starts at position t, so that nothing before it may be seen.
  bool startsAfresh(int64_t row, int64_t t) const {
    if (!documents) return false;
    const int32_t own = documents[row * length + t];
    if (t > 0) return own != documents[row * length + t - 1];
    return !document || own != document[row];
  }
};

// A group of up to sixteen channels.
struct Channels {
  int64_t first, lanes;
  f32x16 d, dtBias;

  Channels(const Scan& s, int64_t group)
      : first(group * kWidth),
        lanes(std::min<int64_t>(kWidth, s.channels - first)),
        d(s.d.load(first, lanes)),
        dtBias(s.dtBias.load(first, lanes)) {}
};

// Δ and x of a stretch of positions, one vector each. Computed ahead of the recurrence, which would wait for every softplus.
struct Steps {
  float *delta, *x;
  float* slope;  // dΔ/d(dt), or null
};

inline void takeSteps(const Scan& s, const Channels& channels, int64_t row, int64_t begin, int64_t count,
                      const Steps& steps) {
  for (int64_t i = 0; i < count; i++) {
    const int64_t at = (row * s.length + begin + i) * s.channels + channels.first;
    const f32x16 raw = s.dt.load(at, channels.lanes) + channels.dtBias;
    store(steps.x + i * kWidth, s.x.load(at, channels.lanes));
    if (steps.slope) {
      f32x16 slope;
      store(steps.delta + i * kWidth, softplus(raw, slope));
      store(steps.slope + i * kWidth, slope);
    } else {
      store(steps.delta + i * kWidth, softplus(raw));
    }
  }
}

// [lanes, N] ↔ N vectors. Lanes without a channel are zero.
inline void turnIn(const Source& from, int64_t at, int64_t lanes, int64_t states, float* to) {
  for (int64_t n = 0; n < states; n++) {
    for (int64_t lane = 0; lane < kWidth; lane++) {
      to[n * kWidth + lane] = lane < lanes ? from.floats()[at + lane * states + n] : 0.0f;
    }
  }
}
inline void turnOut(const float* from, int64_t lanes, int64_t states, float* to) {
  for (int64_t lane = 0; lane < lanes; lane++) {
    for (int64_t n = 0; n < states; n++) to[lane * states + n] = from[n * kWidth + lane];
  }
}

// A · log₂e of a group, with A = −exp(aLog), so that exp(Δ A) is a power of two.
inline void loadDecay(const Scan& s, const Channels& channels, float* decay) {
  turnIn(s.aLog, channels.first * s.states, channels.lanes, s.states, decay);
  for (int64_t n = 0; n < s.states; n++) store(decay + n * kWidth, exp(load(decay + n * kWidth)) * -kLog2e);
}

// B or C of a stretch of positions as float rows: where they stand, or widened into `buffer`.
inline const float* floatRows(const Source& from, int64_t at, int64_t count, float* buffer) {
  if (!from.half()) return from.floats() + at;
  forVectors(0, count, [&](int64_t i, int64_t n) { storeLanes(buffer + i, from.load(at + i, n), n); });
  return buffer;
}

// Runs body(std::integral_constant) with the number of states known to the compiler where it is a usual one (0: it is not).
template <typename Body>
inline void withStates(int64_t states, const Body& body) {
  if (states == 16) return body(std::integral_constant<int, 16>{});
  body(std::integral_constant<int, 0>{});
}

template <typename Body, size_t... I>
inline __attribute__((always_inline)) void unrolled(const Body& body, std::index_sequence<I...>) {
  (body(static_cast<int64_t>(I)), ...);
}

// body(n) for every state: written out when their number N is known, so that an array over states is a set of registers.
template <int N, typename Body>
inline __attribute__((always_inline)) void forStates(int64_t states, const Body& body) {
  if constexpr (N > 0) {
    unrolled(body, std::make_index_sequence<N>{});
  } else {
    for (int64_t n = 0; n < states; n++) body(n);
  }
}

}  // namespace braid::BRAID_VARIANT
