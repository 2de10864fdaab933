// What both directions of the modal convolution share. Sixteen channels stand in the lanes of a vector; the states, poles
// and residues of such a group are one vector per mode. With a few modes the recurrence needs fewer products than Toeplitz
// factors of any useful size, and every one of them is a full vector.
#pragma once
#include <algorithm>

#include "history.hpp"
#include "math.hpp"
#include "stateVectors.hpp"

namespace braid::BRAID_VARIANT {

struct Modal {
  Source u, residues, logPoles, state;
  History history;
  int64_t batch, length, channels, modes, chunk, chunks, groups;

  explicit Modal(const Call& call)
      : u(call.in(0)),
        residues(call.in(1)),
        logPoles(call.in(2)),
        state(optional(call, 4)),
        history(call, 3, 5),
        batch(call.in(0).shape[0]),
        length(call.in(0).shape[1]),
        channels(call.in(0).shape[2]),
        modes(call.in(1).shape[1]),
        chunk(std::min(call.attributes.integer("chunk"), length)),
        chunks((length + chunk - 1) / chunk),
        groups((channels + kWidth - 1) / kWidth) {}

  int64_t lanes(int64_t group) const { return std::min<int64_t>(kWidth, channels - group * kWidth); }
  // Where the modes of the first channel of a group begin in [D, N].
  int64_t modesAt(int64_t group) const { return group * kWidth * modes; }
  // The same in a state of `rows` stacked ones.
  int64_t stateAt(int64_t row, int64_t group) const { return row * channels * modes + modesAt(group); }
  int64_t inputAt(int64_t row, int64_t t, int64_t group) const { return (row * length + t) * channels + group * kWidth; }
};

// One vector per mode: in registers when their number N is known, else in the memory given.
template <int N>
class Modes {
 public:
  explicit Modes(float* memory) : memory_(memory) {}
  f32x16 get(int64_t n) const {
    if constexpr (N > 0) return own_[n];
    return BRAID_VARIANT::load(memory_ + n * kWidth);
  }
  void set(int64_t n, const f32x16& v) {
    if constexpr (N > 0) {
      own_[n] = v;
    } else {
      BRAID_VARIANT::store(memory_ + n * kWidth, v);
    }
  }
  void clear(int64_t modes) {
    forStates<N>(modes, [&](int64_t n) { set(n, zero()); });
  }

  // From and to the memory given.
  void load(int64_t modes) {
    if constexpr (N > 0) forStates<N>(modes, [&](int64_t n) { own_[n] = BRAID_VARIANT::load(memory_ + n * kWidth); });
  }
  void store(int64_t modes) const {
    if constexpr (N > 0) forStates<N>(modes, [&](int64_t n) { BRAID_VARIANT::store(memory_ + n * kWidth, own_[n]); });
  }

 private:
  f32x16 own_[N > 0 ? N : 1];
  float* memory_;
};

// exp(logPoles) of a group.
inline void loadPoles(const Modal& m, int64_t group, float* poles) {
  turnIn(m.logPoles, m.modesAt(group), m.lanes(group), m.modes, poles);
  for (int64_t n = 0; n < m.modes; n++) store(poles + n * kWidth, exp(load(poles + n * kWidth)));
}

}  // namespace braid::BRAID_VARIANT
