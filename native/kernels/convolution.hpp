// What both directions of the causal depthwise convolution share: where an input stands, and whether it may be seen.
#pragma once
#include <algorithm>

#include "activation.hpp"
#include "operand.hpp"

namespace braid::BRAID_VARIANT {

constexpr int kMaxTaps = 16;

struct Convolution {
  Source x, weight, bias, window;
  const int32_t *documents, *document;
  int64_t batch, length, channels, taps;
  bool silu;

  explicit Convolution(const Call& call)
      : x(call.in(0)),
        weight(call.in(1)),
        bias(optional(call, 2)),
        window(optional(call, 4)),
        documents(optional(call, 3).as<const int32_t>()),
        document(optional(call, 5).as<const int32_t>()),
        batch(call.in(0).shape[0]),
        length(call.in(0).shape[1]),
        channels(call.in(0).shape[2]),
        taps(call.in(1).shape[1]),
        silu(call.attributes.text("activation") == "silu") {}

  // Whether position s (negative: in the window) holds an input of the document of position t.
  bool sees(int64_t row, int64_t s, int64_t t) const {
    if (s < 0 && !window) return false;
    if (!documents) return true;
    const int32_t own = s < 0 ? document[row] : documents[row * length + s];
    return own == documents[row * length + t];
  }

  // Channel 0 of position s.
  int64_t offset(int64_t row, int64_t s) const {
    return s < 0 ? (row * (taps - 1) + taps - 1 + s) * channels : (row * length + s) * channels;
  }
  const Source& holder(int64_t s) const { return s < 0 ? window : x; }

  // Filters with the taps as rows: to[tap · stride + channel − first].
  void transposeWeights(int64_t first, int64_t count, int64_t stride, float* to) const {
    for (int64_t e = 0; e < count; e++) {
      for (int64_t tap = 0; tap < taps; tap++) to[tap * stride + e] = weight.at((first + e) * taps + tap);
    }
  }
};

// The inputs under the filter at one position.
struct Taps {
  bool seen[kMaxTaps];
  const Source* from[kMaxTaps];
  int64_t offset[kMaxTaps];

  Taps(const Convolution& c, int64_t row, int64_t t) {
    for (int64_t tap = 0; tap < c.taps; tap++) {
      const int64_t s = t - (c.taps - 1) + tap;
      seen[tap] = c.sees(row, s, t);
      from[tap] = &c.holder(s);
      offset[tap] = c.offset(row, s);
    }
  }
  f32x16 input(int64_t tap, int64_t channel, int64_t lanes) const {
    return from[tap]->load(offset[tap] + channel, lanes);
  }
};

inline int64_t wholeVectors(int64_t channels) { return (channels + kWidth - 1) / kWidth * kWidth; }

}  // namespace braid::BRAID_VARIANT
