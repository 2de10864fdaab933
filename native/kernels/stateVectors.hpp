// States of a group of up to sixteen channels, one vector per state, in registers where their number is known.
#pragma once
#include <cstddef>
#include <utility>

#include "operand.hpp"

namespace braid::BRAID_VARIANT {

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
