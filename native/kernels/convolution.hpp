// What both directions of the causal depthwise convolution share. Sixteen channels at a time walk along a tile of positions
// with the filter and the inputs under it in registers, so that every input is widened once; tiles are short, so that the
// lines of their rows, which the next channels share, stay in the first caches.
#pragma once
#include <algorithm>
#include <type_traits>

#include "math.hpp"
#include "operand.hpp"
#include "pieces.hpp"
#include "stateVectors.hpp"

namespace braid::BRAID_VARIANT {

constexpr int kMaxTaps = 16;
constexpr int64_t kTile = 32;                  // positions
constexpr int64_t kLineChannels = 2 * kWidth;  // of a cache line in BF16

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

  // Channels from e on at position s; zero before the row where there is no window.
  f32x16 input(int64_t row, int64_t s, int64_t e, int64_t lanes) const {
    if (s < 0 && !window) return zero();
    return holder(s).load(offset(row, s) + e, lanes);
  }

  // Filters with the taps as rows: to[tap · stride + channel − first].
  void transposeWeights(int64_t first, int64_t count, int64_t stride, float* to) const {
    for (int64_t e = 0; e < count; e++) {
      for (int64_t tap = 0; tap < taps; tap++) to[tap * stride + e] = weight.at((first + e) * taps + tap);
    }
  }
};

// Consecutive positions of a row, and which inputs each of them and the next K − 1 see.
struct TapTile {
  int64_t row, begin, end;
  bool seesAll = true;
  uint16_t seen[kTile + kMaxTaps - 1];  // bit k: the input under tap k

  TapTile(const Convolution& c, int64_t row, int64_t begin, int64_t end) : row(row), begin(begin), end(end) {
    if (!c.documents) return;
    const unsigned all = (1u << c.taps) - 1;
    for (int64_t t = begin; t < std::min(end + c.taps - 1, c.length); t++) {
      unsigned bits = 0;
      for (int64_t tap = 0; tap < c.taps; tap++) {
        if (c.sees(row, t - (c.taps - 1) + tap, t)) bits |= 1u << tap;
      }
      seen[t - begin] = static_cast<uint16_t>(bits);
      seesAll = seesAll && bits == all;
    }
  }
  bool sees(int64_t t, int64_t tap) const { return seen[t - begin] >> tap & 1; }
};

// Runs body(std::integral_constant taps, std::bool_constant cut) with the number of taps known to the compiler where it is
// a usual one (0: it is not), and with whether some position does not see all of its inputs.
template <typename Body>
inline void withTaps(int64_t taps, bool cut, const Body& body) {
  const auto withCut = [&](auto known) { cut ? body(known, std::true_type{}) : body(known, std::false_type{}); };
  if (taps == 3) return withCut(std::integral_constant<int, 3>{});
  if (taps == 4) return withCut(std::integral_constant<int, 4>{});
  withCut(std::integral_constant<int, 0>{});
}

// A vector for each of K taps, or for up to kMaxTaps.
template <int K>
using TapVectors = f32x16[K > 0 ? K : kMaxTaps];

}  // namespace braid::BRAID_VARIANT
