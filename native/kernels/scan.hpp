// What both directions of the selective scan share. Sixteen channels stand in the lanes of a vector; the states of a group
// of channels are N such vectors. In memory states are [E, N], so they are turned when they are loaded or stored.
#pragma once
#include <algorithm>

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

// A = −exp(aLog) of a group.
inline void loadDecay(const Scan& s, const Channels& channels, float* decay) {
  turnIn(s.aLog, channels.first * s.states, channels.lanes, s.states, decay);
  for (int64_t n = 0; n < s.states; n++) store(decay + n * kWidth, -exp(load(decay + n * kWidth)));
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

}  // namespace braid::BRAID_VARIANT
