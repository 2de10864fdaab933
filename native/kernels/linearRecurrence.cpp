// h_t = a_t ⊙ h_{t−1} + x_t, and its gradient. A thread takes 64 channels of a row at a time, as vectors that it carries
// through all positions.
#include <algorithm>

#include "history.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// body(row, first channel, channels) for every strip of every row.
template <typename Body>
void forStrips(Team& team, const History& history, int64_t channels, const Body& body) {
  const int64_t strips = stripCount(channels);
  team.split(history.batch * strips, rowGrain(history.length * kStrip), [&](int64_t begin, int64_t end, int) {
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t first = unit % strips * kStrip;
      body(unit / strips, first, std::min(kStrip, channels - first));
    }
  });
}

// body(vector, channel within the strip, lanes).
template <typename Body>
inline void forStripVectors(int64_t channels, const Body& body) {
  if (channels == kStrip) {
    for (int64_t v = 0; v < kStripVectors; v++) body(v, v * kWidth, int64_t{kWidth});
  } else {
    for (int64_t v = 0; v * kWidth < channels; v++) body(v, v * kWidth, std::min<int64_t>(kWidth, channels - v * kWidth));
  }
}

void linearRecurrence(const Call& call) {
  const Source a = call.in(0), x = call.in(1), state = optional(call, 3);
  const Sink h = call.out(0), next = call.out(1);
  const History history(call, 2, 4);
  const int64_t width = call.in(0).shape[2];
  forStrips(call.team, history, width, [&](int64_t row, int64_t first, int64_t channels) {
    f32x16 running[kStripVectors];
    const int64_t own = row * width + first;
    forStripVectors(channels, [&](int64_t v, int64_t c, int64_t n) { running[v] = state ? state.load(own + c, n) : zero(); });
    for (int64_t t = 0; t < history.length; t++) {
      const int64_t at = (row * history.length + t) * width + first;
      if (history.startsAfresh(row, t)) forStripVectors(channels, [&](int64_t v, int64_t, int64_t) { running[v] = zero(); });
      forStripVectors(channels, [&](int64_t v, int64_t c, int64_t n) {
        running[v] = fma(a.load(at + c, n), running[v], x.load(at + c, n));
        if (h) h.store(at + c, running[v], n);
      });
    }
    if (next) forStripVectors(channels, [&](int64_t v, int64_t c, int64_t n) { next.store(own + c, running[v], n); });
  });
  history.storeLast(call.out(2));
}

void linearRecurrenceBackward(const Call& call) {
  const Source a = call.in(0), h = call.in(1), state = optional(call, 3), dh = optional(call, 5), dNext = optional(call, 6);
  const Sink da = call.out(0), dx = call.out(1), dState = call.out(2);
  const History history(call, 2, 4);
  const int64_t width = call.in(0).shape[2];
  forStrips(call.team, history, width, [&](int64_t row, int64_t first, int64_t channels) {
    f32x16 carried[kStripVectors];
    const int64_t own = row * width + first;
    forStripVectors(channels, [&](int64_t v, int64_t c, int64_t n) { carried[v] = dNext ? dNext.load(own + c, n) : zero(); });
    for (int64_t t = history.length - 1; t >= 0; t--) {
      const int64_t at = (row * history.length + t) * width + first;
      const bool afresh = history.startsAfresh(row, t);
      forStripVectors(channels, [&](int64_t v, int64_t c, int64_t n) {
        const f32x16 gradient = dh ? carried[v] + dh.load(at + c, n) : carried[v];
        if (dx) dx.store(at + c, gradient, n);
        if (da) {
          f32x16 before = zero();
          if (!afresh && t > 0) before = h.load(at - width + c, n);
          if (!afresh && t == 0 && state) before = state.load(own + c, n);
          da.store(at + c, gradient * before, n);
        }
        carried[v] = afresh ? zero() : gradient * a.load(at + c, n);
      });
    }
    if (dState) forStripVectors(channels, [&](int64_t v, int64_t c, int64_t n) { dState.store(own + c, carried[v], n); });
  });
}

}  // namespace

void registerLinearRecurrence(KernelTable& table) {
  table.emplace("linearRecurrence", linearRecurrence);
  table.emplace("linearRecurrenceBackward", linearRecurrenceBackward);
}

}  // namespace braid::BRAID_VARIANT
