// Gradients of the scan of Mamba-2, chunk by chunk from the last one. Scores and decays are computed again, the states that
// entered a chunk are its checkpoint. With M = C Bᵀ ⊙ decays, S the entering states and dS the gradient of the leaving ones:
//   dM = dY (Δx)ᵀ;  d(Δx) = Mᵀ dY + decay(to the end) · B dSᵀ;
//   dC = (Σ_heads dM ⊙ decays) B + decay(from the start) · dY S,  dB likewise with C and dS;
//   dS ← decay(whole) · dS + (decay(from the start) · dY)ᵀ C.
// The gradient of a position's decay is the sum over all pairs that it lies between, added up pair by pair: differences of
// running sums would lose it to rounding.
#include "ssdBackwardTile.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// From dM: the weights M, the gradients of the scores (added to those of other heads), and dM ⊙ M in the place of dM. All are
// [to, from]; this is for the sixteen positions `from` that begin at `first`.
void weigh(const Ssd& s, const Chunk& chunk, const float* log, int64_t first, const BackwardWork& work) {
  const i32x16 from = lanesFrom(first);
  f32x16 sum = zero();
  for (int64_t i = first; i < chunk.count; i++) {
    const int64_t at = i * s.positions + first;
    sum = sum + log[i];
    f32x16 decay;
    if (i < first + kWidth) {
      sum = select(from < static_cast<int32_t>(i), sum, zero());
      decay = select(from <= static_cast<int32_t>(i), exp(sum), zero());
    } else {
      decay = exp(sum);
    }
    const f32x16 weight = load(work.scores + at) * decay, gradient = load(work.slopes + at);
    store(work.weights + at, weight);
    store(work.dScores + at, load(work.dScores + at) + gradient * decay);
    store(work.slopes + at, gradient * weight);
  }
}

// d(Δx), turned, and to `leaving` what the products of the states that leave say about the decays to the end.
void inputGradient(const Ssd& s, const Chunk& chunk, const Decays& decays, const float* dStates, const BackwardWork& work,
                   float* leaving) {
  tileProduct({s.states, dStates, s.row, 1, work.bColumns, s.positions, work.dInput, s.positions, false}, s.width,
              chunk.vectors);
  scaleColumns(s, chunk, work.dInput, decays.leave, work.dInput);
  for (int64_t v = 0; v < chunk.vectors; v++) {
    const int64_t first = v * kWidth;
    f32x16 sum = zero();
    for (int64_t p = 0; p < s.width; p++) {
      sum += load(work.input + p * s.positions + first) * load(work.dInput + p * s.positions + first);
    }
    store(leaving + first, sum);
    if (!work.hasDy) continue;
    tileProduct({chunk.count - first, work.dy + first, s.positions, 1, work.weights + first * s.positions + first,
                 s.positions, work.dInput + first, s.positions, true},
                s.width, 1);
  }
}

// dC through the states that entered, and to `entering` what it says about the decays from the start.
void readoutGradient(const Ssd& s, const Chunk& chunk, const BackwardWork& work, float* entering) {
  tileProduct({s.width, work.dyEntered, 1, s.positions, work.entered, s.row, work.rows, s.row, false}, chunk.count,
              s.row / kWidth);
  for (int64_t i = 0; i < chunk.count; i++) {
    f32x16 total = zero();
    for (int64_t n = 0; n < s.row; n += kWidth) {
      const int64_t at = i * s.row + n;
      const f32x16 gradient = load(work.rows + at);
      total += gradient * load(work.c + at);
      store(work.dC + at, load(work.dC + at) + gradient);
    }
    entering[i] = sum(total);
  }
}

// Gradients of the logarithms of the decays: of every pair (and of the states that enter or leave) that lies across a
// position. `crossing` takes the sums over pairs [from].
void decayGradient(const Ssd& s, const Chunk& chunk, const BackwardWork& work, const float* entering, const float* leaving,
                   float whole, float* dLog) {
  float* crossing = work.crossing;
  std::fill(crossing, crossing + chunk.vectors * kWidth, 0.0f);
  float later = 0;
  for (int64_t t = chunk.count - 1; t >= 0; t--) {
    f32x16 total = zero();
    for (int64_t first = 0; first <= t; first += kWidth) {
      f32x16 sums = load(crossing + first);
      if (work.hasDy) sums += load(work.slopes + t * s.positions + first);
      store(crossing + first, sums);
      total += first + kWidth <= t ? sums : select(lanesFrom(first) < static_cast<int32_t>(t), sums, zero());
    }
    later += entering[t];
    dLog[t] = sum(total) + later + whole;
  }
  float earlier = 0;
  for (int64_t t = 0; t < chunk.count; earlier += leaving[t++]) dLog[t] += earlier;
  for (int64_t t = 0; t < chunk.count; t++) {
    if (s.history.startsAfresh(chunk.batchRow, chunk.begin + t)) dLog[t] = 0;
  }
}

float dotOf(const float* a, const float* b, int64_t count) {
  f32x16 total = zero();
  for (int64_t i = 0; i < count; i += kWidth) total += load(a + i) * load(b + i);
  return sum(total);
}

// dx, and the gradient of Δ through Δx to dDelta; returns Σ dy x.
float storeInputGradient(const Ssd& s, const Chunk& chunk, const Decays& decays, int64_t head, const BackwardWork& work,
                         const Sink& dx, float* dDelta) {
  const float d = s.d.at(head);
  f32x16 direct = zero();
  for (int64_t v = 0; v < chunk.vectors; v++) {
    const f32x16 delta = load(decays.delta + v * kWidth);
    f32x16 steps = zero();
    for (int64_t p = 0; p < s.width; p++) {
      const int64_t i = p * s.positions + v * kWidth;
      const f32x16 x = load(work.x + i), dInput = load(work.dInput + i), dy = load(work.dy + i);
      steps += dInput * x;
      direct += dy * x;
      store(work.dInput + i, dInput * delta + dy * d);
    }
    store(dDelta + v * kWidth, steps);
  }
  if (dx) {
    columnsToRows(work.dInput, s.positions, chunk.count, s.width, dx, s.inputAt(chunk.token(s), head), s.heads * s.width);
  }
  return sum(direct);
}

void backwardHead(const Ssd& s, const Chunk& chunk, const Decays& decays, int64_t head, const SsdGradients& g,
                  const BackwardWork& work, float* dStates, HeadSums& sums) {
  const int64_t at = s.inputAt(chunk.token(s), head), stride = s.heads * s.width, stacked = chunk.batchRow * s.chunks + chunk.index;
  float *entering = work.lines, *leaving = entering + s.positions, *dLog = leaving + s.positions, *dDelta = dLog + s.positions;
  rowsToColumns(s.x, at, stride, chunk.count, s.width, work.x, s.positions);
  scaleColumns(s, chunk, work.x, decays.delta, work.input);
  if (work.hasDy) rowsToColumns(g.dy, at, stride, chunk.count, s.width, work.dy, s.positions);
  for (int64_t first = 0; work.hasDy && first < chunk.count; first += kWidth) {
    const int64_t corner = first * s.positions + first;
    tileProduct({s.width, work.dy + first, 1, s.positions, work.input + first, s.positions, work.slopes + corner, s.positions,
                 false},
                chunk.count - first, 1);
    weigh(s, chunk, decays.log, first, work);
  }
  inputGradient(s, chunk, decays, dStates, work, leaving);

  // dB through the states that leave.
  scaleColumns(s, chunk, work.input, decays.leave, work.input);
  tileProduct({s.width, work.input, 1, s.positions, dStates, s.row, work.dB, s.row, true}, chunk.count, s.row / kWidth);

  float whole = 0;
  std::fill(entering, entering + chunk.count, 0.0f);
  scaleColumns(s, chunk, work.dy, decays.enter, work.dyEntered);
  if (decays.enter[0] != 0 && (s.state || chunk.index > 0)) {
    readStates(s, g.checkpoints, s.statesAt(stacked, head), work.entered);
    whole = decays.whole * dotOf(dStates, work.entered, s.stateSize());
    if (work.hasDy) readoutGradient(s, chunk, work, entering);
  }
  scaleBy(dStates, decays.whole, s.stateSize());
  if (work.hasDy) {
    tileProduct({chunk.count, work.dyEntered, s.positions, 1, work.c, s.row, dStates, s.row, true}, s.width, s.row / kWidth);
  }

  sums.d += storeInputGradient(s, chunk, decays, head, work, g.dx, dDelta);
  decayGradient(s, chunk, work, entering, leaving, whole, dLog);
  const float decay = -std::exp(s.aLog.at(head));
  float dALog = 0, dBias = 0;
  for (int64_t t = 0; t < chunk.count; t++) {
    const float dRaw = (dDelta[t] + dLog[t] * decay) * decays.slope[t];
    dALog += dLog[t] * decays.delta[t] * decay;
    dBias += dRaw;
    if (g.dDt) g.dDt.put((chunk.token(s) + t) * s.heads + head, dRaw);
  }
  sums.aLog += dALog;
  sums.dtBias += dBias;
}

// What the pairs of positions give to dB and dC, for all heads of the share at once.
void pairGradients(const Ssd& s, const Chunk& chunk, const BackwardWork& work) {
  for (int64_t first = 0; first < chunk.count; first += kWidth) {
    const int64_t rows = std::min<int64_t>(kWidth, chunk.count - first);
    tileProduct({first + rows, work.dScores + first * s.positions, s.positions, 1, work.b, s.row, work.dC + first * s.row,
                 s.row, true},
                rows, s.row / kWidth);
    tileProduct({chunk.count - first, work.dScores + first * s.positions + first, 1, s.positions, work.c + first * s.row,
                 s.row, work.dB + first * s.row, s.row, true},
                rows, s.row / kWidth);
  }
}

void storeRows(const Ssd& s, const Chunk& chunk, int64_t group, const float* from, float* to) {
  for (int64_t i = 0; to && i < chunk.count; i++) {
    float* row = to + ((chunk.token(s) + i) * s.groups + group) * s.states;
    forVectors(0, s.states, [&](int64_t n, int64_t lanes) { storeLanes(row + n, load(from + i * s.row + n), lanes); });
  }
}

void chunkOfShare(const Ssd& s, const Share& share, const Chunk& chunk, const SsdGradients& g, const BackwardWork& work) {
  groupRows(s, s.b, chunk, share.group, work.b);
  groupRows(s, s.c, chunk, share.group, work.c);
  rowsToColumns(s.b, (chunk.token(s) * s.groups + share.group) * s.states, s.groups * s.states, chunk.count, s.states,
                work.bColumns, s.positions);
  if (work.hasDy) {
    tileProduct({s.states, work.c, s.row, 1, work.bColumns, s.positions, work.scores, s.positions, false}, chunk.count,
                chunk.vectors);
    std::fill(work.dScores, work.dScores + chunk.count * s.positions, 0.0f);
  }
  std::fill(work.dB, work.dB + chunk.count * s.row, 0.0f);
  std::fill(work.dC, work.dC + chunk.count * s.row, 0.0f);
  Decays decays(s, work.steps);
  for (int64_t head = share.firstHead; head < share.endHead; head++) {
    decays.take(s, chunk, head);
    float* dStates = work.dStates + (head - share.firstHead) * s.stateSize();
    backwardHead(s, chunk, decays, head, g, work, dStates, g.sums[share.batchRow * s.heads + head]);
  }
  if (work.hasDy) pairGradients(s, chunk, work);
  storeRows(s, chunk, share.group, work.dB, g.dB ? g.dB + share.part * g.rowsOfPart : nullptr);
  storeRows(s, chunk, share.group, work.dC, g.dC ? g.dC + share.part * g.rowsOfPart : nullptr);
}

void backwardShare(const Ssd& s, const Share& share, const SsdGradients& g, const BackwardWork& work) {
  const int64_t heads = share.endHead - share.firstHead;
  std::fill(work.dStates, work.dStates + heads * s.stateSize(), 0.0f);
  if (!work.hasDy) std::fill(work.dy, work.dy + s.positions * s.width, 0.0f);
  for (int64_t i = 0; i < heads; i++) {
    const int64_t head = share.firstHead + i;
    g.sums[share.batchRow * s.heads + head] = {0, 0, 0};
    if (g.dNext) readStates(s, g.dNext, s.statesAt(share.batchRow, head), work.dStates + i * s.stateSize());
  }
  for (int64_t index = s.chunks - 1; index >= 0; index--) {
    chunkOfShare(s, share, Chunk(s, share.batchRow, index), g, work);
  }
  for (int64_t i = 0; g.dState && i < heads; i++) {
    writeStates(s, work.dStates + i * s.stateSize(), g.dState, s.statesAt(share.batchRow, share.firstHead + i));
  }
}

// Sums of the parts of a group's heads, in their order.
void addParts(Team& team, const float* parts, int64_t count, int64_t size, float* to) {
  if (!to) return;
  team.split(size, 4096, [&](int64_t begin, int64_t end, int) {
    forVectors(begin, end, [&](int64_t i, int64_t n) {
      f32x16 total = loadLanes(parts + i, n);
      for (int64_t part = 1; part < count; part++) total += loadLanes(parts + part * size + i, n);
      storeLanes(to + i, total, n);
    });
  });
}

// Sums over the rows of the batch, in their order.
void addHeads(const Ssd& s, const HeadSums* sums, const Call& call) {
  float *dALog = call.out(2).as<float>(), *dD = call.out(5).as<float>(), *dDtBias = call.out(6).as<float>();
  for (int64_t h = 0; h < s.heads; h++) {
    HeadSums total{0, 0, 0};
    for (int64_t row = 0; row < s.batch; row++) {
      const HeadSums& own = sums[row * s.heads + h];
      total = {total.aLog + own.aLog, total.d + own.d, total.dtBias + own.dtBias};
    }
    if (dALog) dALog[h] = total.aLog;
    if (dD) dD[h] = total.d;
    if (dDtBias) dDtBias[h] = total.dtBias;
  }
}

void ssdBackward(const Call& call) {
  const Ssd s(call);
  const int64_t size = s.batch * s.length * s.groups * s.states, sumBytes = s.batch * s.heads * int64_t{sizeof(HeadSums)};
  int64_t parts = headParts(s, call.team.size());
  // A lane may have another share of the threads than the program was planned with.
  if (sumBytes + 2 * parts * size * 4 > static_cast<int64_t>(call.workspaceBytes)) parts = 1;
  SsdGradients g(call);
  float *dB = call.out(3).as<float>(), *dC = call.out(4).as<float>();
  float* shares = reinterpret_cast<float*>(call.workspace + sumBytes);
  g.rowsOfPart = size;
  g.dB = dB && parts > 1 ? shares : dB;
  g.dC = dC && parts > 1 ? shares + parts * size : dC;
  call.team.share(s.batch * s.groups * parts, 1, [&](int64_t unit, int64_t, int thread) {
#if defined(BRAID_HAS_TILES)
    if (g.dy && onTiles(s, call.team)) {
      std::byte* memory = call.team.scratch(thread, BackwardTileWork::bytes(s));
      return ssdBackwardOnTiles(s, g, memory, Share(s, unit, parts));
    }
#endif
    const BackwardWork work(s, static_cast<bool>(g.dy), call.team.scratch(thread, BackwardWork::bytes(s)));
    backwardShare(s, Share(s, unit, parts), g, work);
  });
  if (parts > 1) {
    addParts(call.team, shares, parts, size, dB);
    addParts(call.team, shares + parts * size, parts, size, dC);
  }
  addHeads(s, g.sums, call);
}

}  // namespace

void registerSsdBackward(KernelTable& table) { table.emplace("ssdBackward", ssdBackward); }

}  // namespace braid::BRAID_VARIANT
