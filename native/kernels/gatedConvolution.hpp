// What both directions of the gated convolution share: y = q̂ ⊙ (h ∗ u + d ⊙ u), u = k̂ ⊙ v̂, with q̂, k̂ and v̂ the inputs after
// short filters of their own. A strip of channels goes down the positions of a row, a stretch at a time, so that
// nothing but the inputs and the result goes through memory. Inside, sixteen channels are one vector, and everything stands in
// rows of sixteen floats.
#pragma once
#include <algorithm>
#include <type_traits>

#include "history.hpp"
#include "pieces.hpp"

namespace braid::BRAID_VARIANT {

struct Gated {
  static constexpr int kQuery = 0, kKey = 1, kValue = 2, kStreams = 3;

  Source streams[kStreams], shortFilters[kStreams], taps, skip;
  History history;
  int64_t batch, length, channels, shortTaps, groups, tapCount, reach, width;

  explicit Gated(const Call& call)
      : streams{call.in(0), call.in(1), call.in(2)},
        shortFilters{call.in(3), call.in(4), call.in(5)},
        taps(call.in(6)),
        skip(optional(call, 7)),
        history(call, 8, call.inputCount),
        batch(call.in(0).shape[0]),
        length(call.in(0).shape[1]),
        channels(call.in(0).shape[2]),
        shortTaps(call.in(3).shape[1]),
        groups(call.in(6).shape[0]),
        tapCount(call.in(6).shape[1]),
        reach(tapCount - 1),
        width(channels / groups) {}

  int64_t at(int64_t row, int64_t t) const { return (row * length + t) * channels; }
  int64_t documentStart(int64_t row, int64_t t) const {
    if (!history.documents) return 0;
    while (t > 0 && !history.startsAfresh(row, t)) t--;
    return t;
  }
};

// Positions of a document that are worked on together.
struct GatedStretch {
  int64_t row, start, begin, end;  // start: the first position of the document
  int64_t next;                    // from here to the stretch that comes next, in positions
  int64_t count() const { return end - begin; }
};

// The channels of a strip.
struct GatedStrip {
  int64_t first, count;

  GatedStrip(const Gated& g, int64_t index) : first(index * kStrip), count(std::min(kStrip, g.channels - first)) {}
  int64_t vectors() const { return (count + kWidth - 1) / kWidth; }
};

// Rows of sixteen floats for each vector of a strip.
struct StripRows {
  float* data;
  int64_t rows;

  static int64_t floats(int64_t rows) { return kStripVectors * rows * kWidth; }
  StripRows(int64_t rows, Pieces& pieces) : data(pieces.take(floats(rows))), rows(rows) {}
  float* of(int64_t vector) const { return data + vector * rows * kWidth; }
};

inline void clearRows(float* rows, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) store(rows + i * kWidth, zero());
}

// The filters of sixteen channels, a row for each lag.
struct GatedFilters {
  float *shortFilters[Gated::kStreams], *skip;

  static int64_t floats(const Gated& g) { return (Gated::kStreams * g.shortTaps + 1) * kWidth; }
  GatedFilters(const Gated& g, Pieces& pieces) {
    for (float*& own : shortFilters) own = pieces.take(g.shortTaps * kWidth);
    skip = pieces.take(kWidth);
  }

  void take(const Gated& g, int64_t first, int64_t lanes) const {
    for (int stream = 0; stream < Gated::kStreams; stream++) {
      for (int64_t lag = 0; lag < g.shortTaps; lag++) {
        for (int64_t lane = 0; lane < kWidth; lane++) {
          const int64_t from = (first + lane) * g.shortTaps + g.shortTaps - 1 - lag;
          shortFilters[stream][lag * kWidth + lane] = lane < lanes ? g.shortFilters[stream].at(from) : 0.0f;
        }
      }
    }
    store(skip, g.skip ? g.skip.load(first, lanes) : zero());
  }
};

// Runs body(element of the type of a tensor's storage).
template <typename Body>
inline void withElement(bool half, const Body& body) {
  half ? body(bfloat16{}) : body(0.0f);
}

// The numbers of a strip at positions from … end of a stretch; zero before its document. Asks for those of the next stretch.
inline void takeRows(const Gated& g, const Source& source, const GatedStretch& part, int64_t from, const GatedStrip& strip,
                     const StripRows& to) {
  const int64_t vectors = strip.vectors(), whole = strip.count / kWidth, size = to.rows * kWidth, step = g.channels;
  const int64_t unseen = std::max<int64_t>(0, std::min(part.start, part.end) - from);
  for (int64_t v = 0; v < vectors; v++) clearRows(to.of(v), 0, unseen);
  withElement(source.half(), [&](auto element) {
    using Element = decltype(element);
    const Element* base = source.half() ? reinterpret_cast<const Element*>(source.halves())
                                        : reinterpret_cast<const Element*>(source.floats());
    const Element* in = base + g.at(part.row, from + unseen) + strip.first;
    float* out = to.data + unseen * kWidth;
    const int64_t ahead = part.next * step;
    for (int64_t s = from + unseen; s < part.end; s++, in += step, out += kWidth) {
      for (int64_t v = 0; v < vectors; v += 64 / sizeof(Element) / kWidth) __builtin_prefetch(in + ahead + v * kWidth);
      for (int64_t v = 0; v < whole; v++) store(out + v * size, load(in + v * kWidth));
      if (whole < vectors) store(out + whole * size, loadPartial(in + whole * kWidth, strip.count % kWidth));
    }
  });
}

// Writes rows as the numbers of a strip at the positions of a stretch.
inline void giveRows(const Gated& g, const StripRows& from, const GatedStretch& part, const GatedStrip& strip,
                     const Sink& to) {
  if (!to) return;
  for (int64_t i = 0; i < part.count(); i++) {
    const int64_t at = g.at(part.row, part.begin + i) + strip.first;
    forVectors(0, strip.count, [&](int64_t c, int64_t n) {
      to.store(at + c, load(from.of(c / kWidth) + i * kWidth), n);
    });
  }
}

// Runs body(std::integral_constant) with the number of short taps known to the compiler where it is the usual one (0: it is
// not).
template <typename Body>
inline void withShortTaps(int64_t taps, const Body& body) {
  if (taps == 3) return body(std::integral_constant<int, 3>{});
  body(std::integral_constant<int, 0>{});
}

// body(i, Σ filter[lag] · x[i + taps − 1 − lag]) for `count` rows: x begins taps − 1 rows before the first. The body may
// write row i of x.
template <typename Body>
inline void forFiltered(int64_t shortTaps, const float* filter, const float* x, int64_t count, const Body& body) {
  withShortTaps(shortTaps, [&](auto known) {
    constexpr int kTaps = decltype(known)::value;
    if constexpr (kTaps > 0) {
      f32x16 weights[kTaps];
      for (int lag = 0; lag < kTaps; lag++) weights[lag] = load(filter + lag * kWidth);
      for (int64_t i = 0; i < count; i++) {
        f32x16 sum = weights[0] * load(x + (i + kTaps - 1) * kWidth);
        for (int lag = 1; lag < kTaps; lag++) sum += weights[lag] * load(x + (i + kTaps - 1 - lag) * kWidth);
        body(i, sum);
      }
    } else {
      for (int64_t i = 0; i < count; i++) {
        f32x16 sum = zero();
        for (int64_t lag = 0; lag < shortTaps; lag++) {
          sum += load(filter + lag * kWidth) * load(x + (i + shortTaps - 1 - lag) * kWidth);
        }
        body(i, sum);
      }
    }
  });
}

}  // namespace braid::BRAID_VARIANT
