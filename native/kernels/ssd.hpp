// What both directions of the scan of Mamba-2 share (Dao and Gu 2024, section 6): operands, the work by chunks, the decays.
//
// Inside a chunk everything that belongs to a head is turned, positions in the lanes: decays are then plain vectors, and the
// states [P, N] need no turning. Decays between positions are exponentials of sums of logarithms over the positions
// between them, never quotients; where a document starts the logarithm is −∞, which cuts off all that was before.
#pragma once
#include <algorithm>
#include <cmath>

#include "history.hpp"
#include "math.hpp"
#include "pieces.hpp"
#include "tileProduct.hpp"
#include "turn.hpp"

namespace braid::BRAID_VARIANT {

struct Ssd {
  Source x, dt, aLog, b, c, d, dtBias, state;
  History history;
  int64_t batch, length, heads, width, groups, states, chunk, chunks, perGroup;
  int64_t positions, row;  // lengths of rows of work: positions of a chunk, states
  float low, high;

  explicit Ssd(const Call& call)
      : x(call.in(0)),
        dt(call.in(1)),
        aLog(call.in(2)),
        b(call.in(3)),
        c(call.in(4)),
        d(call.in(5)),
        dtBias(call.in(6)),
        state(optional(call, 8)),
        history(call, 7, 9),
        batch(call.in(0).shape[0]),
        length(call.in(0).shape[1]),
        heads(call.in(0).shape[2]),
        width(call.in(0).shape[3]),
        groups(call.in(3).shape[2]),
        states(call.in(3).shape[3]),
        chunk(std::min(call.attributes.integer("chunk"), length)),
        chunks((length + chunk - 1) / chunk),
        perGroup(heads / groups),
        positions(padded(chunk)),
        row(padded(states)),
        low(call.attributes.has("dtLow") ? static_cast<float>(call.attributes.number("dtLow")) : 0.0f),
        high(call.attributes.has("dtHigh") ? static_cast<float>(call.attributes.number("dtHigh")) : __builtin_inff()) {}

  int64_t stateSize() const { return width * row; }
  // Where head h of a token begins in x, and the states of head h of stacked states.
  int64_t inputAt(int64_t token, int64_t h) const { return (token * heads + h) * width; }
  int64_t statesAt(int64_t stacked, int64_t h) const { return (stacked * heads + h) * width * states; }
};

// A share of the work: some heads of one group in one row of the batch.
struct Share {
  int64_t batchRow, group, part, firstHead, endHead;

  Share(const Ssd& s, int64_t unit, int64_t parts)
      : batchRow(unit / (s.groups * parts)),
        group(unit / parts % s.groups),
        part(unit % parts),
        firstHead(group * s.perGroup + s.perGroup * part / parts),
        endHead(group * s.perGroup + s.perGroup * (part + 1) / parts) {}
};

// Into how many shares the heads of a group are cut: as few as give the threads equal work, for what belongs to the group is
// done again in each. src/ops/ssdBackward.ts knows the rule.
inline int64_t headParts(const Ssd& s, int64_t threads) {
  const int64_t units = s.batch * s.groups, most = std::min(s.perGroup, threads);
  int64_t parts = 1;
  while (parts < most && units * parts < 4 * threads && units * parts % threads != 0) parts++;
  return parts;
}

// A chunk of one row: real positions and whole vectors of them.
struct Chunk {
  int64_t batchRow, index, begin, count, vectors;

  Chunk(const Ssd& s, int64_t batchRow, int64_t index)
      : batchRow(batchRow),
        index(index),
        begin(index * s.chunk),
        count(std::min(s.chunk, s.length - begin)),
        vectors((count + kWidth - 1) / kWidth) {}
  int64_t token(const Ssd& s) const { return batchRow * s.length + begin; }
};

// Rows of b or c of a chunk, padded with zeros.
inline void groupRows(const Ssd& s, const Source& from, const Chunk& chunk, int64_t group, float* to) {
  for (int64_t i = 0; i < chunk.vectors * kWidth; i++) {
    const int64_t at = ((chunk.token(s) + i) * s.groups + group) * s.states;
    float* row = to + i * s.row;
    for (int64_t n = 0; n < s.states; n += kWidth) {
      store(row + n, i < chunk.count ? from.load(at + n, std::min<int64_t>(kWidth, s.states - n)) : zero());
    }
  }
}

// States [P, N] of a head, between the rows of a tensor and padded ones.
inline void readStates(const Ssd& s, const Source& from, int64_t at, float* to) {
  for (int64_t p = 0; p < s.width; p++) {
    forVectors(0, s.states, [&](int64_t n, int64_t lanes) { store(to + p * s.row + n, from.load(at + p * s.states + n, lanes)); });
  }
}
inline void writeStates(const Ssd& s, const float* from, const Sink& to, int64_t at) {
  for (int64_t p = 0; p < s.width; p++) {
    forVectors(0, s.states, [&](int64_t n, int64_t lanes) { to.store(at + p * s.states + n, load(from + p * s.row + n), lanes); });
  }
}

inline void scaleBy(float* values, float factor, int64_t count) {
  for (int64_t i = 0; i < count; i += kWidth) store(values + i, load(values + i) * factor);
}

// to[p][i] = from[p][i] · factors[i] for the positions of a chunk.
inline void scaleColumns(const Ssd& s, const Chunk& chunk, const float* from, const float* factors, float* to) {
  for (int64_t v = 0; v < chunk.vectors; v++) {
    const f32x16 factor = load(factors + v * kWidth);
    const int64_t end = s.width * s.positions, stride = s.positions;
    for (int64_t at = v * kWidth; at < end; at += stride) store(to + at, load(from + at) * factor);
  }
}

inline i32x16 lanesFrom(int64_t first) {
  static const int32_t count[kWidth] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(count) + static_cast<int32_t>(first);
}

// Steps and decays of one head over a chunk; zero after its last position.
struct Decays {
  float *delta, *slope;  // Δ, dΔ/d(dt)
  float* log;            // Δ A: logarithm of the decay over a position; one vector more than there are positions
  float *enter, *leave;  // decay from before the chunk up to and with a position, and from after it to the end
  float whole;           // over the whole chunk

  static int64_t floats(const Ssd& s) { return 5 * s.positions + kWidth; }
  Decays(const Ssd& s, float* memory)
      : delta(memory),
        slope(memory + s.positions),
        enter(memory + 2 * s.positions),
        leave(memory + 3 * s.positions),
        whole(0) {
    log = memory + 4 * s.positions;
  }

  void take(const Ssd& s, const Chunk& chunk, int64_t head) {
    const float decay = -std::exp(s.aLog.at(head));
    const float bias = s.dtBias.at(head);
    for (int64_t i = 0; i < chunk.vectors * kWidth; i++) {
      delta[i] = i < chunk.count ? s.dt.at((chunk.token(s) + i) * s.heads + head) + bias : 0;
    }
    for (int64_t i = 0; i < chunk.vectors * kWidth; i += kWidth) bound(s, i);
    std::fill(delta + chunk.count, delta + chunk.vectors * kWidth, 0.0f);
    std::fill(log, log + chunk.vectors * kWidth + kWidth, 0.0f);
    for (int64_t i = 0; i < chunk.count; i++) {
      log[i] = s.history.startsAfresh(chunk.batchRow, chunk.begin + i) ? -__builtin_inff() : delta[i] * decay;
    }
    sumUp(chunk);
  }

 private:
  // From dt to Δ and its slope.
  void bound(const Ssd& s, int64_t i) {
    const f32x16 raw = load(delta + i), size = softplus(raw);
    const i32x16 below = size < s.low, above = size > s.high;
    store(delta + i, select(below, splat(s.low), select(above, splat(s.high), size)));
    store(slope + i, select(below | above, zero(), sigmoid(raw)));
  }
  void sumUp(const Chunk& chunk) {
    float sum = 0;
    for (int64_t i = 0; i < chunk.count; i++) enter[i] = sum += log[i];
    sum = 0;
    for (int64_t i = chunk.count - 1; i >= 0; sum += log[i--]) leave[i] = sum;
    std::fill(enter + chunk.count, enter + chunk.vectors * kWidth, 0.0f);
    std::fill(leave + chunk.count, leave + chunk.vectors * kWidth, 0.0f);
    for (int64_t i = 0; i < chunk.vectors * kWidth; i += kWidth) {
      store(enter + i, exp(load(enter + i)));
      store(leave + i, exp(load(leave + i)));
    }
    whole = enter[chunk.count - 1];
  }
};

}  // namespace braid::BRAID_VARIANT
