// The scan of Mamba-2, forward. A share of the work is some heads; a chunk is a few matrix products for each of them:
//   y = d x + decay(from the start) · C S + (C Bᵀ ⊙ decays) Δx,  S ← decay(whole) · S + (Δx · decay(to the end))ᵀ B.
#include "ssdTile.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Below this many positions the recurrence itself is less work than padded products: one token at a time in generation.
constexpr int64_t kFewPositions = 8;

struct Work {
  float *b, *c;                // [positions, N]
  float *cColumns;             // [N, positions]
  float *scores, *weights;     // [from, to]
  float *x, *input, *y;        // [P, positions]
  float *steps, *states;       // decays; [heads, P, N]

  static size_t bytes(const Ssd& s) {
    const int64_t floats = s.positions * (2 * s.row + s.states + 2 * s.positions + 3 * s.width) + Decays::floats(s) +
                           s.perGroup * s.stateSize() + 16 * kWidth;
    return static_cast<size_t>(floats) * sizeof(float);
  }
  Work(const Ssd& s, std::byte* memory) {
    Pieces pieces(memory);
    b = pieces.take(s.positions * s.row);
    c = pieces.take(s.positions * s.row);
    cColumns = pieces.take(s.positions * s.states);
    scores = pieces.take(s.positions * s.positions);
    weights = pieces.take(s.positions * s.positions);
    x = pieces.take(s.positions * s.width);
    input = pieces.take(s.positions * s.width);
    y = pieces.take(s.positions * s.width);
    steps = pieces.take(Decays::floats(s));
    states = pieces.take(s.perGroup * s.stateSize());
  }
};

struct Outputs {
  Sink y, checkpoints, state;
};

// weights[j][i] = scores[j][i] · decay from after j up to i, for the sixteen positions i from `first` on and all j ≤ i.
void weigh(const Ssd& s, const Chunk& chunk, const float* log, int64_t first, const Work& work) {
  const i32x16 to = lanesFrom(first);
  const int64_t last = std::min<int64_t>(first + kWidth, chunk.count) - 1;
  f32x16 sum = zero();
  for (int64_t j = last; j >= 0; j--) {
    const int64_t at = j * s.positions + first;
    const f32x16 score = load(work.scores + at);
    sum = sum + log[j + 1];
    if (j < first) {
      store(work.weights + at, score * exp(sum));
    } else {
      sum = select(to > static_cast<int32_t>(j), sum, zero());
      store(work.weights + at, select(to >= static_cast<int32_t>(j), score * exp(sum), zero()));
    }
  }
}

void productsOfHead(const Ssd& s, const Chunk& chunk, const Decays& decays, int64_t head, const Work& work, float* states,
                    const Outputs& out) {
  const int64_t at = s.inputAt(chunk.token(s), head), stride = s.heads * s.width;
  rowsToColumns(s.x, at, stride, chunk.count, s.width, work.x, s.positions);
  scaleColumns(s, chunk, work.x, decays.delta, work.input);
  if (out.y) {
    const float d = s.d.at(head);
    const bool entered = decays.enter[0] != 0 && (s.state || chunk.index > 0);
    if (entered) {
      tileProduct({s.states, states, s.row, 1, work.cColumns, s.positions, work.y, s.positions, false}, s.width,
                  chunk.vectors);
    }
    for (int64_t v = 0; v < chunk.vectors; v++) {
      const int64_t first = v * kWidth;
      const f32x16 enter = load(decays.enter + first);
      float* y = work.y + first;
      for (int64_t p = 0; p < s.width; p++, y += s.positions) {
        const f32x16 direct = load(work.x + (y - work.y)) * d;
        store(y, entered ? fma(load(y), enter, direct) : direct);
      }
      weigh(s, chunk, decays.log, first, work);
      tileProduct({std::min<int64_t>(first + kWidth, chunk.count), work.input, s.positions, 1, work.weights + first,
                   s.positions, work.y + first, s.positions, true},
                  s.width, 1);
    }
    columnsToRows(work.y, s.positions, chunk.count, s.width, out.y, at, stride);
  }
  scaleColumns(s, chunk, work.input, decays.leave, work.input);
  scaleBy(states, decays.whole, s.stateSize());
  tileProduct({chunk.count, work.input, s.positions, 1, work.b, s.row, states, s.row, true}, s.width, s.row / kWidth);
}

void stepsOfHead(const Ssd& s, const Chunk& chunk, const Decays& decays, int64_t head, const Work& work, float* states,
                 const Outputs& out) {
  const float d = s.d.at(head);
  for (int64_t i = 0; i < chunk.count; i++) {
    const int64_t at = s.inputAt(chunk.token(s) + i, head);
    const float *b = work.b + i * s.row, *c = work.c + i * s.row;
    const float keep = std::exp(decays.log[i]);
    for (int64_t p = 0; p < s.width; p++) {
      const float x = s.x.at(at + p), input = decays.delta[i] * x;
      float* own = states + p * s.row;
      f32x16 y = zero();
      for (int64_t n = 0; n < s.row; n += kWidth) {
        const f32x16 next = load(own + n) * keep + load(b + n) * input;
        store(own + n, next);
        y += next * load(c + n);
      }
      if (out.y) out.y.put(at + p, sum(y) + d * x);
    }
  }
}

void chunkOfShare(const Ssd& s, const Share& share, const Chunk& chunk, const Work& work, const Outputs& out) {
  const bool few = chunk.count < kFewPositions;
  groupRows(s, s.b, chunk, share.group, work.b);
  groupRows(s, s.c, chunk, share.group, work.c);
  if (!few && out.y) {
    rowsToColumns(s.c, (chunk.token(s) * s.groups + share.group) * s.states, s.groups * s.states, chunk.count, s.states,
                  work.cColumns, s.positions);
    tileProduct({s.states, work.b, s.row, 1, work.cColumns, s.positions, work.scores, s.positions, false}, chunk.count,
                chunk.vectors);
  }
  Decays decays(s, work.steps);
  for (int64_t head = share.firstHead; head < share.endHead; head++) {
    float* states = work.states + (head - share.firstHead) * s.stateSize();
    if (out.checkpoints) {
      writeStates(s, states, out.checkpoints, s.statesAt(chunk.batchRow * s.chunks + chunk.index, head));
    }
    decays.take(s, chunk, head);
    (few ? stepsOfHead : productsOfHead)(s, chunk, decays, head, work, states, out);
  }
}

void forwardShare(const Ssd& s, const Share& share, const Work& work, const Outputs& out) {
  const int64_t heads = share.endHead - share.firstHead;
  std::fill(work.states, work.states + heads * s.stateSize(), 0.0f);
  for (int64_t i = 0; s.state && i < heads; i++) {
    readStates(s, s.state, s.statesAt(share.batchRow, share.firstHead + i), work.states + i * s.stateSize());
  }
  for (int64_t index = 0; index < s.chunks; index++) chunkOfShare(s, share, Chunk(s, share.batchRow, index), work, out);
  for (int64_t i = 0; out.state && i < heads; i++) {
    writeStates(s, work.states + i * s.stateSize(), out.state, s.statesAt(share.batchRow, share.firstHead + i));
  }
}

void ssdOnVectors(const Call& call, const Ssd& s) {
  const Outputs out{call.out(0), call.out(1), call.out(2)};
  const int64_t parts = headParts(s, call.team.size());
  call.team.share(s.batch * s.groups * parts, 1, [&](int64_t unit, int64_t, int thread) {
    const Work work(s, call.team.scratch(thread, Work::bytes(s)));
    forwardShare(s, Share(s, unit, parts), work, out);
  });
}

void ssd(const Call& call) {
  const Ssd s(call);
#if defined(BRAID_HAS_TILES)
  onTiles(s, call.team) ? ssdOnTiles(call, s) : ssdOnVectors(call, s);
#else
  ssdOnVectors(call, s);
#endif
  s.history.storeLast(call.out(3));
}

}  // namespace

void registerSsd(KernelTable& table) { table.emplace("ssd", ssd); }

}  // namespace braid::BRAID_VARIANT
