// The selective scan of Mamba-1 (Gu and Dao 2023, algorithm 2), forward.
#include "scan.hpp"

#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int64_t kStretch = 32;

struct Outputs {
  Sink y, checkpoints, state;
};

// Memory of a piece of work. Blocks count from its first one.
struct Work {
  float *states, *decay;         // [blocks, parts, kPart, kBlock]
  float *delta, *input, *y;      // [kStretch, kBlock]
  float* rows;

  static int64_t floats(const Scan& s, int64_t most) {
    return 2 * most * s.blockSize() + 3 * kStretch * kBlock + padded(StretchRows::floats(s, kStretch));
  }
  Work(const Scan& s, int64_t most, std::byte* memory) {
    Pieces pieces(memory);
    states = pieces.take(most * s.blockSize());
    decay = pieces.take(most * s.blockSize());
    delta = pieces.take(kStretch * kBlock);
    input = pieces.take(kStretch * kBlock);
    y = pieces.take(kStretch * kBlock);
    rows = pieces.take(StretchRows::floats(s, kStretch));
  }
};

// Δ, Δ x and the direct path of every position.
void prepare(const Scan& s, const ScanStretch& stretch, const Channels& channels, const Work& work) {
  for (int64_t g = 0; g < kGroups; g++) {
    const f32x16 bias = channels.load(s.dtBias, channels.first, g), d = channels.load(s.d, channels.first, g);
    for (int64_t i = 0; i < stretch.count; i++) {
      const int64_t at = stretch.offset(s, i) + channels.first, to = i * kBlock + g * kWidth;
      const f32x16 x = channels.load(s.x, at, g), delta = softplus(channels.load(s.dt, at, g) + bias);
      store(work.delta + to, delta);
      store(work.input + to, delta * x);
      store(work.y + to, d * x);
    }
  }
}

// Asks for a block of x and dt.
void fetch(const Scan& s, int64_t at) {
  for (int64_t g = 0; g < kGroups; g++) {
    s.x.prefetch(at + g * kWidth);
    s.dt.prefetch(at + g * kWidth);
  }
}

// A part of the states of a block through a stretch; what they give is added to y. Meanwhile the memory asks for what is
// needed next: x and dt from channel `next` on in a row of the first position.
void walk(const Scan& s, const ScanStretch& stretch, int64_t part, int64_t next, float* states, const float* decay,
          const Work& work) {
  Patch patch;
  patch.read(states);
  for (int64_t i = 0; i < stretch.count; i++) {
    const float* b = stretch.b + i * s.rowSize() + part * kPart;
    const float* c = stretch.c + i * s.rowSize() + part * kPart;
    if (part == 0) fetch(s, next + i * s.channels);
    if (stretch.afresh[i]) forPatch([&](int64_t n, int64_t g) { patch.h[n][g] = zero(); });
    f32x16 delta[kGroups], input[kGroups], y[kGroups];
    forStates<kGroups>(0, [&](int64_t g) {
      const int64_t at = i * kBlock + g * kWidth;
      delta[g] = load(work.delta + at), input[g] = load(work.input + at), y[g] = load(work.y + at);
    });
    forPatch([&](int64_t n, int64_t g) {
      f32x16& h = patch.h[n][g];
      h = exp2Product(delta[g], load(decay + n * kBlock + g * kWidth)) * h + input[g] * b[n];
      y[g] += h * c[n];
    });
    forStates<kGroups>(0, [&](int64_t g) { store(work.y + i * kBlock + g * kWidth, y[g]); });
  }
  patch.write(states);
}

void scanBlocks(const Scan& s, const BlockRange& range, const Outputs& out, const Work& work) {
  const int64_t size = s.blockSize(), row = range.row, first = range.first, last = range.last;
  std::fill(work.states, work.states + (last - first) * size, 0.0f);
  for (int64_t block = first; block < last; block++) {
    const Channels channels(s, block);
    takeDecay(s, channels, work.decay + (block - first) * size);
    if (s.state) takeStates(s, channels, s.state, row, work.states + (block - first) * size);
  }
  const StretchRows rows(s, kStretch, work.rows);
  for (int64_t t = 0, count; t < s.length; t += count) {
    const bool keeps = out.checkpoints && t % s.chunk == 0;
    count = std::min({kStretch, s.length - t, s.chunk - t % s.chunk});
    const ScanStretch stretch = rows.read(s, row, t, count);
    for (int64_t block = first; block < last; block++) {
      const Channels channels(s, block);
      float* states = work.states + (block - first) * size;
      if (keeps) giveStates(s, channels, states, out.checkpoints, row * s.chunks + t / s.chunk);
      // The next block, or the first one of the next stretch.
      const int64_t next = block + 1 < last ? stretch.offset(s, 0) + channels.first + kBlock
                                            : stretch.offset(s, count) + first * kBlock;
      prepare(s, stretch, channels, work);
      for (int64_t part = 0; part < s.parts; part++) {
        walk(s, stretch, part, next, states + part * kPatch, work.decay + (block - first) * size + part * kPatch, work);
      }
      for (int64_t i = 0; out.y && i < count; i++) {
        const int64_t at = stretch.offset(s, i) + channels.first;
        for (int64_t g = 0; g < kGroups; g++) channels.store(out.y, at, load(work.y + i * kBlock + g * kWidth), g);
      }
    }
  }
  for (int64_t block = first; out.state && block < last; block++) {
    giveStates(s, Channels(s, block), work.states + (block - first) * size, out.state, row);
  }
}

void selectiveScan(const Call& call) {
  const Scan s(call);
  const Outputs out{call.out(0), call.out(1), call.out(2)};
  int32_t* document = call.out(3).as<int32_t>();
  const RowPieces pieces(s, call.team.size());
  const size_t bytes = static_cast<size_t>(Work::floats(s, pieces.most)) * sizeof(float);
  call.team.share(pieces.count(s), 1, [&](int64_t piece, int64_t, int thread) {
    scanBlocks(s, BlockRange(s, pieces, piece), out, Work(s, pieces.most, call.team.scratch(thread, bytes)));
  });
  for (int64_t row = 0; document && row < s.batch; row++) {
    document[row] = s.documents ? s.documents[(row + 1) * s.length - 1] : 0;
  }
}

}  // namespace

void registerScan(KernelTable& table) { table.emplace("selectiveScan", selectiveScan); }

}  // namespace braid::BRAID_VARIANT
