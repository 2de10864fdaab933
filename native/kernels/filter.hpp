// What the directions and algorithms of the grouped convolution share. Documents are taken one after the other, a stretch at
// a time: what a stretch reads is copied into a strip of whole vectors, with zeros for all that it may not see, so that the
// products need no masks.
#pragma once
#include <algorithm>

#include "history.hpp"
#include "pieces.hpp"

namespace braid::BRAID_VARIANT {

struct Filter {
  Source u, taps, window;
  History history;
  int64_t batch, length, channels, groups, tapCount, reach, width, vectors;

  explicit Filter(const Call& call)
      : u(call.in(0)),
        taps(call.in(1)),
        window(optional(call, 3)),
        history(call, 2, 4),
        batch(call.in(0).shape[0]),
        length(call.in(0).shape[1]),
        channels(call.in(0).shape[2]),
        groups(call.in(1).shape[0]),
        tapCount(call.in(1).shape[1]),
        reach(tapCount - 1),
        width(channels / groups),
        vectors((channels + kWidth - 1) / kWidth) {}

  int64_t lanes(int64_t first) const { return std::min<int64_t>(kWidth, channels - first); }
  int64_t inputAt(int64_t row, int64_t t) const { return (row * length + t) * channels; }
  int64_t windowAt(int64_t row, int64_t s) const { return (row * reach + reach + s) * channels; }

  // The first position that the document of position t may see; −reach where that reaches into the window.
  int64_t documentStart(int64_t row, int64_t t) const {
    int64_t start = t;
    while (start > 0 && !history.startsAfresh(row, start)) start--;
    return start == 0 && window && !history.startsAfresh(row, 0) ? -reach : start;
  }

  // Up to sixteen channels of the input at a position from −reach on.
  f32x16 input(int64_t row, int64_t s, int64_t first) const {
    return s < 0 ? window.load(windowAt(row, s) + first, lanes(first)) : u.load(inputAt(row, s) + first, lanes(first));
  }

  // The taps of sixteen channels, one vector for each lag.
  void spread(int64_t first, float* to) const {
    for (int64_t lane = 0; lane < kWidth; lane++) {
      const int64_t own = std::min(first + lane, channels - 1) / width * tapCount;
      for (int64_t lag = 0; lag < tapCount; lag++) to[lag * kWidth + lane] = taps.at(own + lag);
    }
  }
};

// Positions of a document that are worked on together, and the first one that they may see.
struct Stretch {
  int64_t row, start, begin, end;
  int64_t documentEnd;
};

// body(stretch) for stretches of up to `size` positions of a row. Those of the window come first, as one stretch, if wanted
// and if the first document sees it.
template <typename Body>
inline void forStretches(const Filter& f, int64_t row, int64_t size, bool withWindow, const Body& body) {
  for (int64_t t = 0; t < f.length;) {
    const int64_t start = f.documentStart(row, t), end = f.history.documentEnd(row, t);
    if (withWindow && start < 0) {
      for (int64_t s = start; s < 0; s += size) body(Stretch{row, start, s, std::min<int64_t>(0, s + size), end});
    }
    for (; t < end; t += size) body(Stretch{row, start, t, std::min(end, t + size), end});
    t = end;
  }
}

}  // namespace braid::BRAID_VARIANT
