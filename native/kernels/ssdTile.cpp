// The scan of Mamba-2 on the matrix unit, forward: as in ssd.cpp, with products of bfloat16 numbers and float32 sums. Δ goes
// into the weights, so that x itself is an operand; the rounding of weights and of Δx · decay is that of the authors' kernels
// (github.com/state-spaces/mamba, ssd_chunk_scan.py and ssd_chunk_state.py). States are float32 throughout.
#include "ssdTile.hpp"

#if defined(BRAID_HAS_TILES)

namespace braid::BRAID_VARIANT {
namespace {

struct Work {
  bfloat16 *b, *c;                 // [positions, N]
  bfloat16* bColumns;              // [N, positions]
  float* bWords;                   // [N / 2, positions], pairs
  float* bPairs;                   // [positions / 2, N], pairs
  float* scores;                   // [to, from]
  bfloat16 *x, *weights;           // [positions, P]; [to of a strip, from]
  float *inputs, *leaving;         // [positions / 2, P], pairs: x and Δx · decay to the end
  float *statePairs, *y, *states;  // [N / 2, P], pairs; [to of a strip, P]; [heads, N, P]
  float *far, *factors;            // rows of positions
  ChunkSteps chunkSteps;
  HeadSteps steps;

  static size_t bytes(const Ssd& s) {
    const TileSizes z(s);
    const int64_t halves = z.positions * (3 * z.states + z.width + kTileStrip);
    const int64_t floats = z.positions * (z.states + z.positions + z.width + 2) + z.states / 2 * z.width +
                           kTileStrip * z.width + s.perGroup * z.stateSize() + ChunkSteps::floats(s) + HeadSteps::floats(s);
    return static_cast<size_t>(floats + halves / 2) * sizeof(float);
  }
  Work(const Ssd& s, const TileSizes& z, Pieces pieces)
      : b(takeHalves(pieces, z.positions * z.states)),
        c(takeHalves(pieces, z.positions * z.states)),
        bColumns(takeHalves(pieces, z.positions * z.states)),
        bWords(pieces.take(z.positions * z.states / 2)),
        bPairs(pieces.take(z.positions * z.states / 2)),
        scores(pieces.take(z.positions * z.positions)),
        x(takeHalves(pieces, z.positions * z.width)),
        weights(takeHalves(pieces, z.positions * kTileStrip)),
        inputs(pieces.take(z.positions * z.width / 2)),
        leaving(pieces.take(z.positions * z.width / 2)),
        statePairs(pieces.take(z.states / 2 * z.width)),
        y(pieces.take(kTileStrip * z.width)),
        states(pieces.take(s.perGroup * z.stateSize())),
        far(pieces.take(z.positions)),
        factors(pieces.take(z.positions)),
        chunkSteps(s, pieces),
        steps(s, pieces) {}
};

struct Outputs {
  Sink y, state;
  float* checkpoints;
};

// Past the caches, where a whole line of memory is written.
inline void stream(float* to, const f32x16& v, int64_t lanes) {
  if (lanes == kWidth && reinterpret_cast<uintptr_t>(to) % 64 == 0) {
    _mm512_stream_ps(to, (__m512)v);
  } else {
    storeLanes(to, v, lanes);
  }
}

// C Bᵀ of a chunk, where positions look back.
void scoresOfChunk(const Ssd& s, const TileSizes& z, const Share& share, const Chunk& chunk, const Work& work) {
  const int64_t at = (chunk.token(s) * s.groups + share.group) * s.states, stride = s.groups * s.states;
  const int64_t end = wholeSteps(chunk.count);
  takeRows(s.b, at, stride, chunk.count, s.states, work.b, s.states);
  pairRows(work.b, z.states, end, z.states, work.bPairs);
  turnWords(work.bPairs, z.states, end / 2, z.states, reinterpret_cast<float*>(work.bColumns), z.positions / 2);
  takeRows(s.c, at, stride, chunk.count, s.states, work.c, s.states);
  turnWords(wordsOf(work.b), z.states / 2, end, z.states / 2, work.bWords, z.positions);
  for (int64_t first = 0; first < end; first += kTileStrip) {
    pairProduct({kTileStrip, first + kTileStrip, z.states, work.c + first * z.states, z.states, work.bWords, z.positions,
                 work.scores + first * z.positions, z.positions, false});
  }
}

// Weights of the block of sixteen rows that begins at `first`: scores · decay · Δ. `far` is Δ times the decay from after a
// position to the beginning of this block, and is moved on to the next.
void weigh(const TileSizes& z, const HeadSteps& steps, int64_t first, const Work& work, bfloat16* weights) {
  f32x16 sum = zero();
  const f32x16 delta = load(steps.delta + first);
  for (int64_t i = 0; i < kWidth; i++, weights += z.positions) {
    const float* scores = work.scores + (first + i) * z.positions;
    const f32x16 rise = splat(steps.rise[first + i]);
    for (int64_t j = 0; j < first; j += kWidth) store(weights + j, load(scores + j) * (load(work.far + j) * rise));
    const int32_t own = static_cast<int32_t>(i);
    sum = select(lanesFrom(0) < own, sum + steps.log[first + i], zero());
    store(weights + first, select(lanesFrom(0) <= own, load(scores + first) * exp(sum) * delta, zero()));
    if (first % kTileStrip == 0) store(weights + first + kWidth, zero());
  }
  const float over = steps.block[first / kWidth];
  for (int64_t j = 0; j < first; j += kWidth) store(work.far + j, load(work.far + j) * over);
  store(work.far + first, load(steps.fall + first) * delta);
}

void outputsOfStrip(const Ssd& s, const TileSizes& z, const Chunk& chunk, int64_t head, int64_t first, bool entered,
                    const Work& work, const Outputs& out) {
  if (entered) {
    pairProduct({kTileStrip, z.width, z.states, work.c + first * z.states, z.states, work.statePairs, z.width, work.y, z.width,
                 false});
  }
  const float d = s.d.at(head);
  for (int64_t i = 0; i < kTileStrip; i++) {
    const bfloat16* x = work.x + (first + i) * z.width;
    const f32x16 enter = splat(work.steps.enter[first + i]);
    for (int64_t p = 0; p < z.width; p += kWidth) {
      float* y = work.y + i * z.width + p;
      const f32x16 direct = load(x + p) * d;
      store(y, entered ? fma(load(y), enter, direct) : direct);
    }
  }
  weigh(z, work.steps, first, work, work.weights);
  weigh(z, work.steps, first + kWidth, work, work.weights + kWidth * z.positions);
  pairProduct({kTileStrip, z.width, first + kTileStrip, work.weights, z.positions, work.inputs, z.width, work.y, z.width,
               true});
  for (int64_t i = 0; i < kTileStrip && first + i < chunk.count; i++) {
    const int64_t at = s.inputAt(chunk.token(s) + first + i, head);
    forVectors(0, s.width, [&](int64_t p, int64_t lanes) { out.y.store(at + p, load(work.y + i * z.width + p), lanes); });
  }
}

// Everything that a chunk does with the states before it adds to them, in one pass: their pairs, the checkpoint, and the decay
// over the chunk. The checkpoint goes past the caches: nobody reads it before the backward pass.
void leaveStates(const Ssd& s, const TileSizes& z, const Work& work, float* states, float* checkpoints, int64_t at) {
  for (int64_t n = 0; n < z.states; n += kWidth) {
    for (int64_t p = 0; p < z.width; p += kWidth) {
      f32x16 block[kWidth];
      for (int64_t i = 0; i < kWidth; i++) {
        float* row = states + (n + i) * z.width + p;
        block[i] = load(row);
        store(row, block[i] * work.steps.whole);
      }
      for (int64_t i = 0; i < kWidth; i += 2) {
        store(work.statePairs + (n + i) / 2 * z.width + p, pairsOf(block[i], block[i + 1]));
      }
      if (!checkpoints || n >= s.states) continue;
      transpose(block);
      const int64_t lanes = std::min<int64_t>(kWidth, s.states - n);
      for (int64_t i = 0; i < kWidth && p + i < s.width; i++) {
        stream(checkpoints + at + (p + i) * s.states + n, block[i], lanes);
      }
    }
  }
}

void chunkOfHead(const Ssd& s, const TileSizes& z, const Chunk& chunk, int64_t head, const Work& work, float* states,
                 const Outputs& out) {
  const int64_t end = wholeSteps(chunk.count);
  leaveStates(s, z, work, states, out.checkpoints, s.statesAt(chunk.batchRow * s.chunks + chunk.index, head));
  takeRows(s.x, s.inputAt(chunk.token(s), head), s.heads * s.width, chunk.count, s.width, work.x, s.width);
  if (out.y) {
    const bool entered = work.steps.enter[0] != 0 && (s.state || chunk.index > 0);
    pairRows(work.x, z.width, end, z.width, work.inputs);
    for (int64_t first = 0; first < end; first += kTileStrip) {
      outputsOfStrip(s, z, chunk, head, first, entered, work, out);
    }
  }
  for (int64_t i = 0; i < end; i += kWidth) store(work.factors + i, load(work.steps.delta + i) * load(work.steps.leave + i));
  pairScaledRows(work.x, work.factors, end, z.width, work.leaving);
  pairProduct({z.states, z.width, end, work.bColumns, z.positions, work.leaving, z.width, states, z.width, true});
}

void forwardShare(const Ssd& s, const Share& share, Work& work, const Outputs& out) {
  const TileSizes z(s);
  const int64_t heads = share.endHead - share.firstHead;
  std::fill(work.states, work.states + heads * z.stateSize(), 0.0f);
  for (int64_t i = 0; s.state && i < heads; i++) {
    rowsToColumns(s.state, s.statesAt(share.batchRow, share.firstHead + i), s.states, s.width, s.states,
                  work.states + i * z.stateSize(), z.width);
  }
  for (int64_t index = 0; index < s.chunks; index++) {
    const Chunk chunk(s, share.batchRow, index);
    scoresOfChunk(s, z, share, chunk, work);
    work.chunkSteps.take(s, chunk, share);
    for (int64_t i = 0; i < heads; i++) {
      const int64_t head = share.firstHead + i;
      work.steps.take(s, chunk, work.chunkSteps, head, i);
      chunkOfHead(s, z, chunk, head, work, work.states + i * z.stateSize(), out);
    }
  }
  for (int64_t i = 0; out.state && i < heads; i++) {
    columnsToRows(work.states + i * z.stateSize(), z.width, s.width, s.states, out.state,
                  s.statesAt(share.batchRow, share.firstHead + i), s.states);
  }
}

}  // namespace

void ssdOnTiles(const Call& call, const Ssd& s) {
  const Outputs out{call.out(0), call.out(2), call.out(1).as<float>()};
  const int64_t parts = headParts(s, call.team.size());
  call.team.share(s.batch * s.groups * parts, 1, [&](int64_t unit, int64_t, int thread) {
    const TileTiling::Session session;
    Work work(s, TileSizes(s), Pieces(call.team.scratch(thread, Work::bytes(s))));
    forwardShare(s, Share(s, unit, parts), work, out);
    _mm_sfence();
  });
}

}  // namespace braid::BRAID_VARIANT

#endif
