// Gradients of the scan of Mamba-2 on the matrix unit: the formulas of ssdBackward.cpp with products of bfloat16 numbers and
// float32 sums. Scores and weights are [from, to] here: rows of weights are then operands as they stand.
//
// The gradient of a position's decay is the sum over all pairs that it lies between. Over blocks of sixteen these are four
// kinds: pairs around the block, pairs from inside it to behind it, pairs from before it into it, and pairs inside it. All
// are sums of what belongs to them, never differences of running sums, which would lose it to rounding.
#include "ssdBackwardTile.hpp"

#if defined(BRAID_HAS_TILES)

namespace braid::BRAID_VARIANT {
namespace {

using Work = BackwardTileWork;

// B and C of a chunk in all layouts, and C Bᵀ where positions look back.
void takeGroup(const Ssd& s, const TileSizes& z, const Share& share, const Chunk& chunk, const Work& work) {
  const int64_t at = (chunk.token(s) * s.groups + share.group) * s.states, stride = s.groups * s.states;
  const int64_t end = wholeSteps(chunk.count);
  takeRows(s.b, at, stride, chunk.count, s.states, work.b, s.states);
  takeRows(s.c, at, stride, chunk.count, s.states, work.c, s.states);
  pairRows(work.b, z.states, end, z.states, work.bPairs);
  pairRows(work.c, z.states, end, z.states, work.cPairs);
  turnWords(work.cPairs, z.states, end / 2, z.states, reinterpret_cast<float*>(work.cColumns), z.positions / 2);
  turnWords(wordsOf(work.c), z.states / 2, end, z.states / 2, work.cWords, z.positions);
  for (int64_t first = 0; first < end; first += kTileStrip) {
    pairProduct({kTileStrip, end - first, z.states, work.b + first * z.states, z.states, work.cWords + first, z.positions,
                 work.scores + first * z.positions + first, z.positions, false});
    for (int64_t j = first; j < first + kTileStrip; j++) {
      std::fill(work.dScores + j * z.positions + first, work.dScores + j * z.positions + end, 0.0f);
    }
  }
  std::fill(work.dB, work.dB + end * z.states, 0.0f);
  std::fill(work.dC, work.dC + end * z.states, 0.0f);
}

// x and dy of a head, and both with the decays of the states.
void takeInputs(const Ssd& s, const TileSizes& z, const Chunk& chunk, int64_t head, const SsdGradients& g, int64_t slot,
                const Work& work) {
  const int64_t end = wholeSteps(chunk.count), at = s.inputAt(chunk.token(s), head), stride = s.heads * s.width;
  takeRows(s.x, at, stride, chunk.count, s.width, work.x, s.width);
  takeRows(g.dy, at, stride, chunk.count, s.width, work.dy, s.width);
  for (int64_t i = 0; i < end; i++) {
    const f32x16 enter = splat(work.steps.enter[i]), leave = splat(work.steps.leave[i] * work.steps.delta[i]);
    const int64_t to = i * work.stride(z) + slot * z.width;
    for (int64_t p = 0; p < z.width; p += kWidth) {
      store(work.dyRows + to + p, load(work.dy + i * z.width + p) * enter);
      store(work.inputRows + to + p, load(work.x + i * z.width + p) * leave);
    }
  }
  pairRows(work.dy, z.width, end, z.width, work.dyPairs);
  pairRows(work.dyRows + slot * z.width, work.stride(z), end, z.width, work.dyEntered);
  turnWords(wordsOf(work.dy), z.width / 2, end, z.width / 2, work.dyWords, z.positions);
}

// The gradient of the states that leave, [N, P], and the states that entered; returns their dot product. The gradient itself
// goes on with the decay over the chunk.
float takeStates(const Ssd& s, const TileSizes& z, int64_t at, bool entered, const SsdGradients& g, int64_t slot,
                 float* dStates, const Work& work) {
  for (int64_t i = 0; i < z.stateSize(); i += kWidth) {
    const f32x16 gradient = load(dStates + i);
    store(work.dStateRows + i, gradient);
    store(dStates + i, gradient * work.steps.whole);
  }
  pairRows(work.dStateRows, z.width, z.states, z.width, work.dStatePairs);
  const int64_t pairs = slot * z.stateSize() / 2;
  turnWords(wordsOf(work.dStateRows), z.width / 2, z.states, z.width / 2, work.dStateWords + pairs, z.states);
  if (!entered) {
    std::fill(work.statePairs + pairs, work.statePairs + pairs + z.stateSize() / 2, 0.0f);
    return 0;
  }
  takeRows(g.checkpoints, at, s.states, s.width, s.states, work.stateRows, s.width * s.states);
  pairRows(work.stateRows, z.states, z.width, z.states, work.statePairs + pairs);
  turnWords(wordsOf(work.stateRows), z.states / 2, z.width, z.states / 2, work.enteredWords, z.width);
  __m512 total = _mm512_setzero_ps();
  for (int64_t i = pairs; i < pairs + z.stateSize() / 2; i += kWidth) {
    total = _mm512_dpbf16_ps(total, (__m512bh)_mm512_loadu_si512(work.statePairs + i),
                             (__m512bh)_mm512_loadu_si512(work.dStateWords + i));
  }
  return sum((f32x16)total);
}

// What the states that entered say about the decays from the start.
void enteringOfStrip(const TileSizes& z, int64_t first, const Work& work) {
  pairProduct({kTileStrip, z.width, z.states, work.c + first * z.states, z.states, work.enteredWords, z.width, work.dInput,
               z.width, false});
  for (int64_t begin = 0; begin < kTileStrip; begin += kWidth) {
    f32x16 rows[kWidth];
    for (int64_t i = 0; i < kWidth; i++) {
      const bfloat16* dy = work.dy + (first + begin + i) * z.width;
      const float* read = work.dInput + (begin + i) * z.width;
      rows[i] = zero();
      for (int64_t p = 0; p < z.width; p += kWidth) rows[i] += load(dy + p) * load(read + p);
    }
    store(work.entering + first + begin, sumsOf(rows) * load(work.steps.enter + first + begin));
  }
}

// The pairs between the block that begins at `first` and later ones: weights, gradients of scores, of Δ and of decays. What
// the pairs say about Δ is summed here, not over dx, where the weights are rounded.
void weighLater(const TileSizes& z, int64_t first, int64_t end, const float* slopes, bfloat16* weights, const Work& work) {
  const HeadSteps& steps = work.steps;
  f32x16 rows[kWidth];
  std::fill(work.columns + first, work.columns + end, 0.0f);
  for (int64_t j = 0; j < kWidth; j++, slopes += z.positions, weights += z.positions) {
    const float* scores = work.scores + (first + j) * z.positions;
    float* dScores = work.dScores + (first + j) * z.positions;
    const f32x16 fall = splat(steps.fall[first + j]), delta = splat(steps.delta[first + j]);
    f32x16 row = zero();
    for (int64_t i = first + kWidth; i < end; i += kWidth) {
      const f32x16 decay = load(work.near + i) * fall, score = load(scores + i);
      const f32x16 slope = load(slopes + i) * decay, gradient = slope * delta;
      store(weights + i, score * decay);
      store(dScores + i, load(dScores + i) + gradient);
      store(work.columns + i, load(work.columns + i) + gradient * score);
      row += slope * score;
    }
    rows[j] = row;
  }
  const f32x16 sums = sumsOf(rows);
  store(work.from + first, sums * load(steps.delta + first));
  store(work.dDelta + first, load(work.dDelta + first) + sums);
  f32x16 behind = zero();
  for (int64_t i = end - kWidth; i > first; i -= kWidth) {
    const f32x16 column = load(work.columns + i);
    store(work.through + i, load(work.through + i) + behind);
    store(work.to + i, load(work.to + i) + column);
    behind += column;
  }
}

// The pairs inside a block.
void weighInside(const TileSizes& z, int64_t first, const float* slopes, bfloat16* weights, const Work& work) {
  const HeadSteps& steps = work.steps;
  const i32x16 to = lanesFrom(0);
  f32x16 pairs[kWidth], rows[kWidth], logs = zero();
  for (int32_t j = kWidth - 1; j >= 0; j--) {
    if (j < kWidth - 1) logs = select(to > j, logs + steps.log[first + j + 1], zero());
    const int64_t at = (first + j) * z.positions + first;
    const f32x16 decay = select(to >= j, exp(logs), zero()), score = load(work.scores + at);
    const f32x16 slope = load(slopes + j * z.positions + first) * decay, gradient = slope * steps.delta[first + j];
    store(weights + j * z.positions + first, score * decay);
    store(work.dScores + at, load(work.dScores + at) + gradient);
    rows[j] = slope * score;
    pairs[j] = select(to > j, gradient * score, zero());
  }
  store(work.dDelta + first, load(work.dDelta + first) + sumsOf(rows));
  f32x16 total = zero();
  for (int32_t j = 0; j < kWidth; j++) {
    total += pairs[j];
    pairs[j] = select(to > j, total, zero());
  }
  store(work.inside + first, later<1>(sumsOf(pairs)));
}

void weigh(const TileSizes& z, int64_t first, int64_t end, const float* slopes, bfloat16* weights, const Work& work) {
  weighLater(z, first, end, slopes, weights, work);
  weighInside(z, first, slopes, weights, work);
  const float over = work.steps.block[first / kWidth];
  for (int64_t i = first + kWidth; i < end; i += kWidth) store(work.near + i, load(work.near + i) * over);
  store(work.near + first, load(work.steps.rise + first));
}

// d(Δx) of a strip through the states that leave, and what they say about the decays to the end.
void leavingOfStrip(const TileSizes& z, int64_t first, const Work& work) {
  pairProduct({kTileStrip, z.width, z.states, work.b + first * z.states, z.states, work.dStatePairs, z.width, work.dInput,
               z.width, false});
  for (int64_t begin = 0; begin < kTileStrip; begin += kWidth) {
    f32x16 rows[kWidth];
    for (int64_t j = 0; j < kWidth; j++) {
      const f32x16 leave = splat(work.steps.leave[first + begin + j]);
      const bfloat16* x = work.x + (first + begin + j) * z.width;
      float* dInput = work.dInput + (begin + j) * z.width;
      rows[j] = zero();
      for (int64_t p = 0; p < z.width; p += kWidth) {
        const f32x16 gradient = load(dInput + p) * leave;
        store(dInput + p, gradient);
        rows[j] += gradient * load(x + p);
      }
    }
    const f32x16 sums = sumsOf(rows);
    store(work.dDelta + first + begin, sums);
    store(work.leaving + first + begin, sums * load(work.steps.delta + first + begin));
  }
}

// dx of a strip; adds to the sum of dy x.
void storeStrip(const Ssd& s, const TileSizes& z, const Chunk& chunk, int64_t head, int64_t first, const SsdGradients& g,
                f32x16& direct, const Work& work) {
  const float d = s.d.at(head);
  for (int64_t i = 0; i < kTileStrip && first + i < chunk.count; i++) {
    const int64_t own = first + i, at = s.inputAt(chunk.token(s) + own, head);
    const f32x16 delta = splat(work.steps.delta[own]);
    forVectors(0, s.width, [&](int64_t p, int64_t lanes) {
      const f32x16 dOut = g.dy.load(at + p, lanes);
      direct += dOut * load(work.x + own * z.width + p);
      if (g.dx) g.dx.store(at + p, load(work.dInput + i * z.width + p) * delta + dOut * d, lanes);
    });
  }
}

// From the sums over pairs to the gradients of dt and of the parameters of the head.
void decayGradient(const Chunk& chunk, float whole, const Work& work, float* dDt, HeadSums& sums) {
  const HeadSteps& steps = work.steps;
  const int64_t end = wholeSteps(chunk.count);
  float behind = 0;
  for (int64_t i = end - kWidth; i >= 0; i -= kWidth) {
    store(work.through + i, splat(sum(load(work.through + i)) + behind + whole));
    behind += sum(load(work.entering + i));
  }
  float before = 0;
  f32x16 dALog = zero(), dBias = zero();
  for (int64_t i = 0; i < end; i += kWidth) {
    const f32x16 leaving = load(work.leaving + i);
    const f32x16 across = load(work.through + i) + before + load(work.inside + i) +
                          later<1>(sumsUpTo(load(work.from + i) + leaving)) +
                          sumsFrom(load(work.to + i) + load(work.entering + i));
    before += sum(leaving);
    const f32x16 dLog = select(load(work.chunkSteps.cut + i) == 0.0f, across, zero());
    const f32x16 dRaw = (load(work.dDelta + i) + dLog * steps.rate) * load(steps.slope + i);
    dALog += dLog * load(steps.delta + i) * steps.rate;
    dBias += dRaw;
    store(dDt + i, dRaw);
  }
  sums.aLog += sum(dALog);
  sums.dtBias += sum(dBias);
}

void chunkOfHead(const Ssd& s, const TileSizes& z, const Chunk& chunk, int64_t head, const SsdGradients& g, int64_t slot,
                 const Work& work, float* dStates, float* dDt, HeadSums& sums) {
  const int64_t end = wholeSteps(chunk.count), stacked = chunk.batchRow * s.chunks + chunk.index;
  const bool entered = s.state || chunk.index > 0;
  takeInputs(s, z, chunk, head, g, slot, work);
  const float dot = takeStates(s, z, s.statesAt(stacked, head), entered, g, slot, dStates, work);
  for (float* line : {work.to, work.through, work.entering}) std::fill(line, line + end, 0.0f);
  f32x16 direct = zero();
  for (int64_t first = end - kTileStrip; first >= 0; first -= kTileStrip) {
    if (entered) enteringOfStrip(z, first, work);
    leavingOfStrip(z, first, work);
    pairProduct({kTileStrip, end - first, z.width, work.x + first * z.width, z.width, work.dyWords + first, z.positions,
                 work.slopes + first, z.positions, false});
    weigh(z, first + kWidth, end, work.slopes + kWidth * z.positions, work.weights + kWidth * z.positions, work);
    weigh(z, first, end, work.slopes, work.weights, work);
    for (int64_t j = kWidth; j < kTileStrip; j++) store(work.weights + j * z.positions + first, zero());
    pairProduct({kTileStrip, z.width, end - first, work.weights + first, z.positions, work.dyPairs + first / 2 * z.width,
                 z.width, work.dInput, z.width, true});
    storeStrip(s, z, chunk, head, first, g, direct, work);
  }
  sums.d += sum(direct);
  decayGradient(chunk, work.steps.whole * dot, work, dDt, sums);
  pairProduct({z.states, z.width, end, work.cColumns, z.positions, work.dyEntered, z.width, dStates, z.width, true});
}

// What the states give to dB and dC, of the heads since the last time.
void stateGradients(const TileSizes& z, const Chunk& chunk, int64_t heads, const Work& work) {
  const int64_t end = wholeSteps(chunk.count), depth = heads * z.width;
  pairProduct({end, z.states, depth, work.dyRows, work.stride(z), work.statePairs, z.states, work.dC, z.states, true});
  pairProduct({end, z.states, depth, work.inputRows, work.stride(z), work.dStateWords, z.states, work.dB, z.states, true});
}

// What the pairs of positions give to dB and dC, for all heads of the share at once.
void pairGradients(const TileSizes& z, const Chunk& chunk, const Work& work) {
  const int64_t end = wholeSteps(chunk.count), n = z.positions;
  for (int64_t j = 0; j < end; j++) {
    const int64_t first = j / kTileStrip * kTileStrip;
    for (int64_t i = 0; i < end; i += kWidth) {
      store(work.dScoreRows + j * n + i, i < first ? zero() : load(work.dScores + j * n + i));
    }
  }
  // The scores themselves are no longer needed: their memory takes the pairs on the way to columns.
  pairRows(work.dScoreRows, n, end, end, work.scores);
  turnWords(work.scores, end, end / 2, end, reinterpret_cast<float*>(work.dScoreColumns), n / 2);
  for (int64_t first = 0; first < end; first += kTileStrip) {
    pairProduct({kTileStrip, z.states, end - first, work.dScoreRows + first * n + first, n,
                 work.cPairs + first / 2 * z.states, z.states, work.dB + first * z.states, z.states, true});
    pairProduct({kTileStrip, z.states, first + kTileStrip, work.dScoreColumns + first * n, n, work.bPairs, z.states,
                 work.dC + first * z.states, z.states, true});
  }
}

void storeRows(const Ssd& s, const TileSizes& z, const Chunk& chunk, int64_t group, const float* from, float* to) {
  for (int64_t i = 0; to && i < chunk.count; i++) {
    float* row = to + ((chunk.token(s) + i) * s.groups + group) * s.states;
    forVectors(0, s.states, [&](int64_t n, int64_t lanes) { storeLanes(row + n, load(from + i * z.states + n), lanes); });
  }
}

void chunkOfShare(const Ssd& s, const TileSizes& z, const Share& share, const Chunk& chunk, const SsdGradients& g, Work& work) {
  takeGroup(s, z, share, chunk, work);
  work.chunkSteps.take(s, chunk, share);
  const int64_t heads = share.endHead - share.firstHead;
  for (int64_t i = 0; i < heads; i++) {
    const int64_t head = share.firstHead + i, slot = i % kTileHeads;
    work.steps.take(s, chunk, work.chunkSteps, head, i);
    chunkOfHead(s, z, chunk, head, g, slot, work, work.dStates + i * z.stateSize(), work.dDt + i * z.positions,
                g.sums[share.batchRow * s.heads + head]);
    if (slot == kTileHeads - 1 || i == heads - 1) stateGradients(z, chunk, slot + 1, work);
  }
  pairGradients(z, chunk, work);
  storeRows(s, z, chunk, share.group, work.dB, g.dB ? g.dB + share.part * g.rowsOfPart : nullptr);
  storeRows(s, z, chunk, share.group, work.dC, g.dC ? g.dC + share.part * g.rowsOfPart : nullptr);
  if (g.dDt) {
    columnsToRows(work.dDt, z.positions, chunk.count, heads, g.dDt, chunk.token(s) * s.heads + share.firstHead, s.heads);
  }
}

void backwardShare(const Ssd& s, const TileSizes& z, const Share& share, const SsdGradients& g, Work& work) {
  const int64_t heads = share.endHead - share.firstHead;
  std::fill(work.dStates, work.dStates + heads * z.stateSize(), 0.0f);
  for (int64_t i = 0; i < heads; i++) {
    const int64_t head = share.firstHead + i;
    g.sums[share.batchRow * s.heads + head] = {0, 0, 0};
    if (!g.dNext) continue;
    rowsToColumns(g.dNext, s.statesAt(share.batchRow, head), s.states, s.width, s.states, work.dStates + i * z.stateSize(),
                  z.width);
  }
  for (int64_t index = s.chunks - 1; index >= 0; index--) {
    chunkOfShare(s, z, share, Chunk(s, share.batchRow, index), g, work);
  }
  for (int64_t i = 0; g.dState && i < heads; i++) {
    columnsToRows(work.dStates + i * z.stateSize(), z.width, s.width, s.states, g.dState,
                  s.statesAt(share.batchRow, share.firstHead + i), s.states);
  }
}

}  // namespace

void ssdBackwardOnTiles(const Ssd& s, const SsdGradients& g, std::byte* memory, const Share& share) {
  const TileSizes z(s);
  const TileTiling::Session session;
  Work work(s, z, Pieces(memory));
  backwardShare(s, z, share, g, work);
}

}  // namespace braid::BRAID_VARIANT

#endif
