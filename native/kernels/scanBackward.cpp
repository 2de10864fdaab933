// Gradients of the selective scan. Chunks run backwards; inside a chunk the states are computed again from the checkpoint
// that entered it, in two steps: once through the chunk, which keeps how much every position lets pass and a state every
// few positions, and then, piece by piece from the end, the states around each position, which stay in the first cache.
// Sums over channels (dB, dC) are kept as vectors over the lanes until all blocks of a piece of work have been added in a
// chunk; the shares of the pieces, like those of the rows in sums over positions, are added in their order.
#include "scan.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int64_t kPiece = 8;  // positions

struct Outputs {
  Source checkpoints, dy, dNext;
  Sink dx, dDt, dALog, dB, dC, dD, dDtBias, dState;
};

// Shares of sums, each written by the piece of work that it belongs to: over positions, of a row; over channels, of the pieces
// of a row.
struct Shares {
  RowPieces pieces;
  float *dDecay;        // [B, blocks, parts, kPart, kBlock]
  float *dD, *dDtBias;  // [B, blocks, kBlock]
  float *dB, *dC;       // [pieces of a row, B, L, rowSize]

  static int64_t rowSums(const Scan& s) { return s.batch * s.length * s.rowSize(); }
  static int64_t floats(const Scan& s, const RowPieces& pieces) {
    return s.batch * s.blocks * (s.blockSize() + 2 * kBlock) + 2 * padded(pieces.perRow * rowSums(s));
  }
  Shares(const Scan& s, const RowPieces& pieces, Pieces& memory)
      : pieces(pieces),
        dDecay(memory.take(s.batch * s.blocks * s.blockSize())),
        dD(memory.take(s.batch * s.blocks * kBlock)),
        dDtBias(memory.take(s.batch * s.blocks * kBlock)),
        dB(memory.take(pieces.perRow * rowSums(s))),
        dC(memory.take(pieces.perRow * rowSums(s))) {}
};

// Memory of a piece of work.
struct Work {
  // Of its blocks.
  float *carried, *decay;  // [blocks, parts, kPart, kBlock]
  // Of a chunk.
  float *sumB, *sumC;    // [parts, chunk, kPart, kWidth]
  float* rows;
  // Of a block in a chunk.
  float* states;                                           // [parts, kPart, kBlock]
  float *delta, *slope, *x, *input, *dOut, *dDelta, *dInput;  // [chunk, kBlock]
  // Of a part of a block in a chunk.
  float *keep, *entering, *around;  // [chunk], [pieces] and [kPiece + 1] of [kPart, kBlock]

  static int64_t chunk(const Scan& s) { return std::min(s.chunk, s.length); }
  static int64_t pieces(const Scan& s) { return (chunk(s) + kPiece - 1) / kPiece; }

  static int64_t floats(const Scan& s, int64_t most) {
    const int64_t perChunk = 2 * s.parts * chunk(s) * kPart * kWidth + padded(StretchRows::floats(s, chunk(s)));
    const int64_t perBlock = s.blockSize() + 7 * chunk(s) * kBlock;
    const int64_t perPart = (chunk(s) + pieces(s) + kPiece + 1) * kPatch;
    return 2 * most * s.blockSize() + perChunk + perBlock + perPart;
  }

  Work(const Scan& s, int64_t most, Pieces pieces) {
    carried = pieces.take(most * s.blockSize());
    decay = pieces.take(most * s.blockSize());
    sumB = pieces.take(s.parts * chunk(s) * kPart * kWidth);
    sumC = pieces.take(s.parts * chunk(s) * kPart * kWidth);
    rows = pieces.take(StretchRows::floats(s, chunk(s)));
    states = pieces.take(s.blockSize());
    for (float** each : {&delta, &slope, &x, &input, &dOut, &dDelta, &dInput}) *each = pieces.take(chunk(s) * kBlock);
    keep = pieces.take(chunk(s) * kPatch);
    entering = pieces.take(Work::pieces(s) * kPatch);
    around = pieces.take((kPiece + 1) * kPatch);
  }
};

// What a block needs at every position of a chunk.
void prepare(const Scan& s, const ScanStretch& chunk, const Channels& channels, const Source& dy, const Work& work) {
  for (int64_t g = 0; g < kGroups; g++) {
    const f32x16 bias = channels.load(s.dtBias, channels.first, g);
    for (int64_t i = 0; i < chunk.count; i++) {
      const int64_t at = chunk.offset(s, i) + channels.first, to = i * kBlock + g * kWidth;
      f32x16 slope;
      const f32x16 x = channels.load(s.x, at, g), delta = softplus(channels.load(s.dt, at, g) + bias, slope);
      store(work.x + to, x);
      store(work.delta + to, delta);
      store(work.slope + to, slope);
      store(work.input + to, delta * x);
      store(work.dOut + to, dy ? channels.load(dy, at, g) : zero());
      store(work.dDelta + to, zero());
      store(work.dInput + to, zero());
    }
  }
}

// Asks for a block of x, dt and dy.
void fetch(const Scan& s, const Source& dy, int64_t at) {
  for (int64_t g = 0; g < kGroups; g++) {
    s.x.prefetch(at + g * kWidth);
    s.dt.prefetch(at + g * kWidth);
    if (dy) dy.prefetch(at + g * kWidth);
  }
}

// One part of a block in a chunk.
struct PartOfBlock {
  const Scan& s;
  const ScanStretch& chunk;
  const Work& work;
  const float* decay;
  float *carried, *dDecay, *sumB, *sumC;
  int64_t part;

  float* keepAt(int64_t i) const { return work.keep + i * kPatch; }
  const float* rowOf(const float* rows, int64_t i) const { return rows + i * s.rowSize() + part * kPart; }

  // Through the chunk once: what every position keeps of the states, none where a document starts, and the states that enter
  // every piece. Meanwhile the memory asks for the block at `next`.
  void forward(const float* states, const Source& dy, int64_t next) const {
    Patch patch;
    patch.read(states);
    for (int64_t i = 0; i < chunk.count; i++) {
      if (part == 0) fetch(s, dy, next + i * s.channels);
      if (i % kPiece == 0) patch.write(work.entering + i / kPiece * kPatch);
      const float* b = rowOf(chunk.b, i);
      float* keep = keepAt(i);
      f32x16 delta[kGroups], input[kGroups];
      forStates<kGroups>(0, [&](int64_t g) {
        delta[g] = load(work.delta + i * kBlock + g * kWidth), input[g] = load(work.input + i * kBlock + g * kWidth);
      });
      if (chunk.afresh[i]) {
        std::fill(keep, keep + kPatch, 0.0f);
        forPatch([&](int64_t n, int64_t g) { patch.h[n][g] = input[g] * b[n]; });
        continue;
      }
      forPatch([&](int64_t n, int64_t g) {
        const int64_t at = n * kBlock + g * kWidth;
        const f32x16 kept = exp2Product(delta[g], load(decay + at));
        store(keep + at, kept);
        patch.h[n][g] = kept * patch.h[n][g] + input[g] * b[n];
      });
    }
  }

  // The states before and after every position of a piece.
  void replay(int64_t begin, int64_t end) const {
    Patch patch;
    patch.read(work.entering + begin / kPiece * kPatch);
    patch.write(work.around);
    for (int64_t i = begin; i < end; i++) {
      const float *b = rowOf(chunk.b, i), *keep = keepAt(i);
      f32x16 input[kGroups];
      forStates<kGroups>(0, [&](int64_t g) { input[g] = load(work.input + i * kBlock + g * kWidth); });
      forPatch([&](int64_t n, int64_t g) {
        patch.h[n][g] = load(keep + n * kBlock + g * kWidth) * patch.h[n][g] + input[g] * b[n];
      });
      patch.write(work.around + (i - begin + 1) * kPatch);
    }
  }

  // A piece backwards. `carried`: the gradient of the states after a position that comes from later ones.
  void sweep(int64_t begin, int64_t end) const {
    Patch later;
    later.read(carried);
    for (int64_t i = end - 1; i >= begin; i--) {
      const float *b = rowOf(chunk.b, i), *c = rowOf(chunk.c, i), *keep = keepAt(i);
      const float *before = work.around + (i - begin) * kPatch, *after = before + kPatch;
      float *toB = sumB + i * kPart * kWidth, *toC = sumC + i * kPart * kWidth;
      const float *dOut = work.dOut + i * kBlock, *delta = work.delta + i * kBlock, *input = work.input + i * kBlock;
      f32x16 dDelta[kGroups], dInput[kGroups];
      forStates<kGroups>(0, [&](int64_t g) {
        dDelta[g] = load(work.dDelta + i * kBlock + g * kWidth), dInput[g] = load(work.dInput + i * kBlock + g * kWidth);
      });
      forStates<kPart>(0, [&](int64_t n) {
        f32x16 dB = load(toB + n * kWidth), dC = load(toC + n * kWidth);
        forStates<kGroups>(0, [&](int64_t g) {
          const int64_t lane = g * kWidth, at = n * kBlock + lane;
          const f32x16 dState = load(dOut + lane) * c[n] + later.h[n][g];
          dC += load(dOut + lane) * load(after + at);
          dB += dState * load(input + lane);
          dInput[g] += dState * b[n];
          later.h[n][g] = dState * load(keep + at);
          const f32x16 dExponent = later.h[n][g] * load(before + at);  // of Δ A
          dDelta[g] += dExponent * load(decay + at);
          store(dDecay + at, load(dDecay + at) + dExponent * load(delta + lane));
        });
        store(toB + n * kWidth, dB);
        store(toC + n * kWidth, dC);
      });
      forStates<kGroups>(0, [&](int64_t g) {
        store(work.dDelta + i * kBlock + g * kWidth, dDelta[g]);
        store(work.dInput + i * kBlock + g * kWidth, dInput[g]);
      });
    }
    later.write(carried);
  }
};

// The gradients of a block that are no sums over channels, once those over states are known.
void finish(const Scan& s, const ScanStretch& chunk, const Channels& channels, const Outputs& out, const Work& work,
            float* dDs, float* dDtBiases) {
  for (int64_t g = 0; g < kGroups; g++) {
    const f32x16 d = channels.load(s.d, channels.first, g);
    f32x16 dD = load(dDs + g * kWidth), dDtBias = load(dDtBiases + g * kWidth);
    for (int64_t i = 0; i < chunk.count; i++) {
      const int64_t from = i * kBlock + g * kWidth, at = chunk.offset(s, i) + channels.first;
      const f32x16 x = load(work.x + from), dOut = load(work.dOut + from), dInput = load(work.dInput + from);
      const f32x16 dRaw = (load(work.dDelta + from) * kLn2 + dInput * x) * load(work.slope + from);
      dD += dOut * x;
      dDtBias += dRaw;
      if (out.dx) channels.store(out.dx, at, dInput * load(work.delta + from) + dOut * d, g);
      if (out.dDt) channels.store(out.dDt, at, dRaw, g);
    }
    store(dDs + g * kWidth, dD);
    store(dDtBiases + g * kWidth, dDtBias);
  }
}

// One block through a chunk. `slot`: which block of its piece of work it is.
void backwardBlock(const Scan& s, const ScanStretch& chunk, int64_t block, int64_t slot, int64_t next, const Outputs& out,
                   const Shares& shares, const Work& work) {
  const Channels channels(s, block);
  const int64_t size = s.blockSize(), own = chunk.row * s.blocks + block;
  std::fill(work.states, work.states + size, 0.0f);
  takeStates(s, channels, out.checkpoints, chunk.row * s.chunks + chunk.begin / s.chunk, work.states);
  prepare(s, chunk, channels, out.dy, work);
  for (int64_t part = 0; part < s.parts; part++) {
    const int64_t at = part * kPatch, sums = part * Work::chunk(s) * kPart * kWidth;
    const PartOfBlock one{s,
                          chunk,
                          work,
                          work.decay + slot * size + at,
                          work.carried + slot * size + at,
                          shares.dDecay + own * size + at,
                          work.sumB + sums,
                          work.sumC + sums,
                          part};
    one.forward(work.states + at, out.dy, next);
    for (int64_t begin = (chunk.count - 1) / kPiece * kPiece; begin >= 0; begin -= kPiece) {
      const int64_t end = std::min(begin + kPiece, chunk.count);
      one.replay(begin, end);
      one.sweep(begin, end);
    }
  }
  finish(s, chunk, channels, out, work, shares.dD + own * kBlock, shares.dDtBias + own * kBlock);
}

void backwardBlocks(const Scan& s, const BlockRange& range, const Outputs& out, const Shares& shares, const Work& work) {
  const int64_t size = s.blockSize(), sums = s.parts * Work::chunk(s) * kPart * kWidth;
  const int64_t row = range.row, first = range.first, last = range.last, own = row * s.blocks + first;
  std::fill(work.carried, work.carried + range.blocks() * size, 0.0f);
  std::fill(shares.dDecay + own * size, shares.dDecay + (own + range.blocks()) * size, 0.0f);
  for (float* each : {shares.dD, shares.dDtBias}) {
    std::fill(each + own * kBlock, each + (own + range.blocks()) * kBlock, 0.0f);
  }
  for (int64_t block = first; block < last; block++) {
    const Channels channels(s, block);
    takeDecay(s, channels, work.decay + (block - first) * size);
    if (out.dNext) takeStates(s, channels, out.dNext, row, work.carried + (block - first) * size);
  }
  const StretchRows rows(s, Work::chunk(s), work.rows);
  for (int64_t index = s.chunks - 1; index >= 0; index--) {
    const ScanStretch chunk = rows.read(s, row, index * s.chunk, std::min(s.chunk, s.length - index * s.chunk));
    std::fill(work.sumB, work.sumB + sums, 0.0f);
    std::fill(work.sumC, work.sumC + sums, 0.0f);
    for (int64_t block = first; block < last; block++) {
      // The next block, or the first one of the chunk before.
      const int64_t next = block + 1 < last ? chunk.offset(s, 0) + (block + 1) * kBlock
                                            : chunk.offset(s, index > 0 ? -s.chunk : 0) + first * kBlock;
      backwardBlock(s, chunk, block, block - first, next, out, shares, work);
    }
    for (int64_t i = 0; i < chunk.count; i++) {
      for (int64_t n = 0; n < s.rowSize(); n++) {
        const int64_t from = ((n / kPart * Work::chunk(s) + i) * kPart + n % kPart) * kWidth;
        const int64_t to = ((range.index * s.batch + row) * s.length + chunk.begin + i) * s.rowSize() + n;
        shares.dB[to] = sum(load(work.sumB + from));
        shares.dC[to] = sum(load(work.sumC + from));
      }
    }
  }
  for (int64_t block = first; out.dState && block < last; block++) {
    giveStates(s, Channels(s, block), work.carried + (block - first) * size, out.dState, row);
  }
}

// The sum of `count` vectors, `step` floats from each other.
f32x16 total(const float* from, int64_t step, int64_t count) {
  f32x16 all = load(from);
  for (int64_t i = 1; i < count; i++) all += load(from + i * step);
  return all;
}

// Sums over positions that belong to channels. dA/daLog = A.
void storeChannels(const Scan& s, int64_t block, const Outputs& out, const Shares& shares, float* decay) {
  const Channels channels(s, block);
  const int64_t size = s.blockSize(), lines = s.blocks * kBlock;
  float* dDecay = shares.dDecay + block * size;  // the first row's share gives way
  takeDecay(s, channels, decay);
  for (int64_t i = 0; i < s.states * kBlock; i += kWidth) {
    store(dDecay + i, total(dDecay + i, s.blocks * size, s.batch) * load(decay + i) * kLn2);
  }
  if (out.dALog) giveStates(s, channels, dDecay, out.dALog, 0);
  for (int64_t g = 0; g < kGroups; g++) {
    const int64_t at = block * kBlock + g * kWidth;
    if (out.dD) channels.store(out.dD, block * kBlock, total(shares.dD + at, lines, s.batch), g);
    if (out.dDtBias) channels.store(out.dDtBias, block * kBlock, total(shares.dDtBias + at, lines, s.batch), g);
  }
}

// Sums over channels that belong to positions begin … end of all rows.
void storePositions(const Scan& s, int64_t begin, int64_t end, const Outputs& out, const Shares& shares) {
  const int64_t step = Shares::rowSums(s);
  for (int64_t i = begin; i < end; i++) {
    for (int64_t n = 0; n < s.states; n += kWidth) {
      const int64_t lanes = std::min<int64_t>(kWidth, s.states - n), from = i * s.rowSize() + n;
      f32x16 dB = zero(), dC = zero();
      for (int64_t part = 0; part < shares.pieces.perRow; part++) {
        dB += loadLanes(shares.dB + part * step + from, lanes);
        dC += loadLanes(shares.dC + part * step + from, lanes);
      }
      if (out.dB) out.dB.store(i * s.states + n, dB, lanes);
      if (out.dC) out.dC.store(i * s.states + n, dC, lanes);
    }
  }
}

void selectiveScanBackward(const Call& call) {
  const Scan s(call);
  const Outputs out{call.in(10), optional(call, 11), optional(call, 12), call.out(0), call.out(1), call.out(2),
                    call.out(3), call.out(4),        call.out(5),        call.out(6), call.out(7)};
  Team& team = call.team;
  const RowPieces rows(s, team.size());
  const size_t own = static_cast<size_t>(Work::floats(s, rows.most)) * sizeof(float);
  // The shares stand before the memory of the first thread.
  Pieces first(team.scratch(0, static_cast<size_t>(Shares::floats(s, rows)) * sizeof(float) + own));
  const Shares shares(s, rows, first);
  const auto work = [&](int thread) { return Work(s, rows.most, thread == 0 ? first : Pieces(team.scratch(thread, own))); };
  team.share(rows.count(s), 1, [&](int64_t piece, int64_t, int thread) {
    backwardBlocks(s, BlockRange(s, rows, piece), out, shares, work(thread));
  });
  team.split(s.blocks, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t block = begin; block < end; block++) storeChannels(s, block, out, shares, work(thread).decay);
  });
  team.split(s.batch * s.length, rowGrain(s.states), [&](int64_t begin, int64_t end, int) {
    storePositions(s, begin, end, out, shares);
  });
}

}  // namespace

void registerScanBackward(KernelTable& table) { table.emplace("selectiveScanBackward", selectiveScanBackward); }

}  // namespace braid::BRAID_VARIANT
