// What both directions of the selective scan share. Thirty-two channels, a block, go through time together, so that their
// BF16 numbers fill whole cache lines, and eight of their states at a time, a part, which are sixteen registers. Positions
// come in stretches that fit the first caches: all blocks of a piece of work pass a stretch before the next one, so that memory is
// read row by row however long the sequence is.
#pragma once
#include <algorithm>
#include <numeric>

#include "math.hpp"
#include "pieces.hpp"
#include "stateVectors.hpp"
#include "turn.hpp"

namespace braid::BRAID_VARIANT {

constexpr int kGroups = 2;                  // vectors of channels in a block
constexpr int kBlock = kGroups * kWidth;    // channels
constexpr int kPart = 8;                    // states
constexpr int64_t kPatch = kPart * kBlock;  // floats of a part of a block

struct Scan {
  Source x, dt, aLog, b, c, d, dtBias, state;
  const int32_t *documents, *document;
  int64_t batch, length, channels, states, chunk, chunks, blocks, parts;

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
        blocks((channels + kBlock - 1) / kBlock),
        parts((states + kPart - 1) / kPart) {}

  // Floats of all states of a block, and of B or C at a position: N rounded up to whole parts, of which those that do not
  // exist are zero, and stay so.
  int64_t blockSize() const { return parts * kPatch; }
  int64_t rowSize() const { return parts * kPart; }

  // Whether a document starts at position t, so that nothing before it may be seen.
  bool startsAfresh(int64_t row, int64_t t) const {
    if (!documents) return false;
    const int32_t own = documents[row * length + t];
    if (t > 0) return own != documents[row * length + t - 1];
    return !document || own != document[row];
  }
};

// How the blocks of every row are cut into pieces of work: into as few as give every thread an equal number, for what belongs
// to the row, B and C, is done again in each.
struct RowPieces {
  int64_t perRow, most;  // pieces of a row, blocks of a piece

  RowPieces(const Scan& s, int64_t threads)
      : perRow(s.batch >= 4 * threads ? 1 : std::min(s.blocks, threads / std::gcd(s.batch, threads))),
        most((s.blocks + perRow - 1) / perRow) {}
  int64_t count(const Scan& s) const { return s.batch * perRow; }
};

// The blocks first … last of a row.
struct BlockRange {
  int64_t row, index, first, last;

  BlockRange(const Scan& s, const RowPieces& pieces, int64_t piece)
      : row(piece / pieces.perRow),
        index(piece % pieces.perRow),
        first(s.blocks * index / pieces.perRow),
        last(s.blocks * (index + 1) / pieces.perRow) {}
  int64_t blocks() const { return last - first; }
};

// A block of up to 32 channels.
struct Channels {
  int64_t first, count;

  Channels(const Scan& s, int64_t block) : first(block * kBlock), count(std::min<int64_t>(kBlock, s.channels - first)) {}
  // Of a group's vector.
  int64_t lanes(int64_t group) const { return std::clamp<int64_t>(count - group * kWidth, 0, kWidth); }
  f32x16 load(const Source& from, int64_t at, int64_t group) const {
    return from.load(at + group * kWidth, lanes(group));
  }
  void store(const Sink& to, int64_t at, const f32x16& v, int64_t group) const {
    to.store(at + group * kWidth, v, lanes(group));
  }
};

// States of a block: [E, N] in memory, N vectors of 32 channels in work space that was zero before.
inline void takeStates(const Scan& s, const Channels& channels, const Source& from, int64_t row, float* to) {
  rowsToColumns(from, (row * s.channels + channels.first) * s.states, s.states, channels.count, s.states, to, kBlock);
}
inline void giveStates(const Scan& s, const Channels& channels, const float* from, const Sink& to, int64_t row) {
  columnsToRows(from, kBlock, channels.count, s.states, to, (row * s.channels + channels.first) * s.states, s.states);
}

// A · log₂e of a block, with A = −exp(aLog), so that exp(Δ A) is a power of two.
inline void takeDecay(const Scan& s, const Channels& channels, float* decay) {
  std::fill(decay, decay + s.blockSize(), 0.0f);
  takeStates(s, channels, s.aLog, 0, decay);
  for (int64_t i = 0; i < s.states * kBlock; i += kWidth) store(decay + i, exp(load(decay + i)) * -kLog2e);
}

// Consecutive positions of a row.
struct ScanStretch {
  int64_t row, begin, count;
  const float *b, *c;  // [count, rowSize]
  const bool* afresh;  // [count]: whether a document starts there

  // Channel 0 of its position i.
  int64_t offset(const Scan& s, int64_t i) const { return (row * s.length + begin + i) * s.channels; }
};

// Work space of a stretch of up to `most` positions.
struct StretchRows {
  float *b, *c;
  bool* afresh;

  static int64_t floats(const Scan& s, int64_t most) { return 2 * most * s.rowSize() + most; }
  StretchRows(const Scan& s, int64_t most, float* memory)
      : b(memory), c(b + most * s.rowSize()), afresh(reinterpret_cast<bool*>(c + most * s.rowSize())) {}

  // B and C as float rows, and where documents start.
  ScanStretch read(const Scan& s, int64_t row, int64_t begin, int64_t count) const {
    for (int64_t i = 0; i < count; i++) {
      const int64_t at = (row * s.length + begin + i) * s.states, to = i * s.rowSize();
      for (int64_t n = 0; n < s.rowSize(); n += kWidth) {
        const int64_t given = std::min<int64_t>(kWidth, s.states - n), wanted = std::min<int64_t>(kWidth, s.rowSize() - n);
        storeLanes(b + to + n, s.b.load(at + n, given), wanted);
        storeLanes(c + to + n, s.c.load(at + n, given), wanted);
      }
      afresh[i] = s.startsAfresh(row, begin + i);
    }
    return {row, begin, count, b, c, afresh};
  }
};

// body(state, group) for every register of a part, written out.
template <typename Body>
inline __attribute__((always_inline)) void forPatch(const Body& body) {
  forStates<kPart * kGroups>(0, [&](int64_t i) { body(i / kGroups, i % kGroups); });
}

// The states of a part of a block. Register [n][g] is vector n · kGroups + g in memory.
struct Patch {
  f32x16 h[kPart][kGroups];

  __attribute__((always_inline)) void read(const float* from) {
    forPatch([&](int64_t n, int64_t g) { h[n][g] = load(from + n * kBlock + g * kWidth); });
  }
  __attribute__((always_inline)) void write(float* to) const {
    forPatch([&](int64_t n, int64_t g) { braid::BRAID_VARIANT::store(to + n * kBlock + g * kWidth, h[n][g]); });
  }
};

}  // namespace braid::BRAID_VARIANT
