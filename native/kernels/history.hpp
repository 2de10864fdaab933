// The past of a row as sequence operations see it: where documents begin, and what a carried state was made of.
#pragma once
#include "../core/kernel.hpp"
#include "operand.hpp"

namespace braid::BRAID_VARIANT {

struct History {
  const int32_t *documents, *document;
  int64_t batch, length;

  // `documents` [B, L] and `document` [B] are inputs of the call that may be absent.
  History(const Call& call, size_t documentsInput, size_t documentInput)
      : documents(optional(call, documentsInput).as<const int32_t>()),
        document(optional(call, documentInput).as<const int32_t>()),
        batch(call.in(0).shape[0]),
        length(call.in(0).shape[1]) {}

  // Whether a document starts at position t, so that nothing before it may be seen.
  bool startsAfresh(int64_t row, int64_t t) const {
    if (!documents) return false;
    const int32_t own = documents[row * length + t];
    if (t > 0) return own != documents[row * length + t - 1];
    return !document || own != document[row];
  }

  // The position after the last one of the document of position t.
  int64_t documentEnd(int64_t row, int64_t t) const {
    if (!documents) return length;
    const int32_t* own = documents + row * length;
    int64_t end = t + 1;
    while (end < length && own[end] == own[t]) end++;
    return end;
  }

  // Writes the documents of the new states. They may stand where `document` does: the last thing that a kernel does.
  void storeLast(const Tensor& to) const {
    int32_t* last = to.as<int32_t>();
    for (int64_t row = 0; last && row < batch; row++) last[row] = documents ? documents[(row + 1) * length - 1] : 0;
  }
};

// Channels that one thread takes through time together: enough vectors to hide the latency of a recurrence.
constexpr int64_t kStripVectors = 4;
constexpr int64_t kStrip = kStripVectors * kWidth;

inline int64_t stripCount(int64_t channels) { return (channels + kStrip - 1) / kStrip; }

}  // namespace braid::BRAID_VARIANT
