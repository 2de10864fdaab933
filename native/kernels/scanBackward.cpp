// Gradients of the selective scan. Chunks run backwards; inside a chunk the states are computed again from the checkpoint
// that entered it. Every thread owns groups of sixteen channels, so that sums over positions stay its own. Sums over
// channels (dB, dC) are kept as vectors over the lanes until all groups of a chunk have been added, and the threads' shares
// are added in thread order.
#include "scan.hpp"

#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Outputs {
  Source checkpoints, dy, dNext;
  Sink dx, dDt;
  float *dALog, *dB, *dC, *dD, *dDtBias, *dState;
};

// One thread's memory.
struct Work {
  float *before, *keep;             // [chunk, N, 16]: states before a position and what is kept of them
  float *sumB, *sumC;               // [chunk, N, 16]: over the groups of this thread
  float *delta, *slope, *x;         // [chunk, 16]
  float *rowsB, *rowsC;             // [chunk, N]
  float *carried, *decay, *dDecay;  // [groups, N, 16]
  float *dD, *dDtBias;              // [groups, 16]
  float *shareB, *shareC;           // [B, L, N]

  static size_t bytes(const Scan& s, int64_t groups) {
    const int64_t position = s.states * kWidth;
    return static_cast<size_t>(4 * s.chunk * position + 3 * s.chunk * kWidth + 2 * s.chunk * s.states + 2 * kWidth +
                               groups * (3 * position + 2 * kWidth) + 2 * s.batch * s.length * s.states) *
           sizeof(float);
  }

  Work(const Scan& s, int64_t groups, std::byte* memory) {
    const int64_t position = s.states * kWidth;
    float* next = reinterpret_cast<float*>(memory);
    const auto take = [&next](int64_t floats) {
      float* piece = next;
      next += floats;
      return piece;
    };
    shareB = take(s.batch * s.length * s.states);
    shareC = take(s.batch * s.length * s.states);
    before = take(s.chunk * position);
    keep = take(s.chunk * position);
    sumB = take(s.chunk * position);
    sumC = take(s.chunk * position);
    delta = take(s.chunk * kWidth);
    slope = take(s.chunk * kWidth);
    x = take(s.chunk * kWidth);
    carried = take(groups * position);
    decay = take(groups * position);
    dDecay = take(groups * position);
    dD = take(groups * kWidth);
    dDtBias = take(groups * kWidth);
    rowsB = take(s.chunk * s.states + kWidth);
    rowsC = take(s.chunk * s.states + kWidth);
  }
};

struct Chunk {
  int64_t row, index, begin, count;
  const float *b, *c;  // [count, N]
};

// The states of one group before every position of a chunk, and how much of them every position keeps.
template <int N>
void replay(const Scan& s, const Chunk& chunk, const Channels& channels, const float* decay, const Source& checkpoints,
            const Work& work) {
  const int64_t states = N > 0 ? N : s.states;
  alignas(64) float memory[kMaxStates * kWidth];
  const int64_t from = (chunk.row * s.chunks + chunk.index) * s.channels + channels.first;
  turnIn(checkpoints, from * states, channels.lanes, states, memory);
  f32x16 h[N > 0 ? N : kMaxStates];
  forStates<N>(states, [&](int64_t n) { h[n] = load(memory + n * kWidth); });
  takeSteps(s, channels, chunk.row, chunk.begin, chunk.count, {work.delta, work.x, work.slope});
  for (int64_t i = 0; i < chunk.count; i++) {
    if (s.startsAfresh(chunk.row, chunk.begin + i)) forStates<N>(states, [&](int64_t n) { h[n] = zero(); });
    const f32x16 delta = load(work.delta + i * kWidth), input = delta * load(work.x + i * kWidth);
    float* before = work.before + i * states * kWidth;
    float* keep = work.keep + i * states * kWidth;
    forStates<N>(states, [&](int64_t n) {
      const f32x16 kept = exp2(delta * load(decay + n * kWidth));
      store(before + n * kWidth, h[n]);
      store(keep + n * kWidth, kept);
      h[n] = kept * h[n] + input * chunk.b[i * states + n];
    });
  }
}

// One group through a chunk, backwards.
template <int N>
void sweep(const Scan& s, const Chunk& chunk, const Channels& channels, int64_t group, const Outputs& out,
           const Work& work) {
  const int64_t states = N > 0 ? N : s.states, position = states * kWidth;
  const float* decay = work.decay + group * position;
  float* dDecay = work.dDecay + group * position;
  f32x16 carried[N > 0 ? N : kMaxStates];
  forStates<N>(states, [&](int64_t n) { carried[n] = load(work.carried + group * position + n * kWidth); });
  f32x16 dD = load(work.dD + group * kWidth), dDtBias = load(work.dDtBias + group * kWidth);
  for (int64_t i = chunk.count - 1; i >= 0; i--) {
    const int64_t t = chunk.begin + i, at = (chunk.row * s.length + t) * s.channels + channels.first;
    const f32x16 dOut = out.dy ? out.dy.load(at, channels.lanes) : zero();
    const f32x16 x = load(work.x + i * kWidth), delta = load(work.delta + i * kWidth), input = delta * x;
    f32x16 dDelta = zero(), dInput = zero();
    forStates<N>(states, [&](int64_t n) {
      const int64_t place = i * position + n * kWidth;
      const float b = chunk.b[i * states + n];
      const f32x16 kept = load(work.keep + place), remains = kept * load(work.before + place);
      const f32x16 dState = carried[n] + dOut * chunk.c[i * states + n];
      const f32x16 dExponent = dState * remains;  // of Δ A
      store(work.sumC + place, load(work.sumC + place) + dOut * (remains + input * b));
      store(work.sumB + place, load(work.sumB + place) + dState * input);
      store(dDecay + n * kWidth, load(dDecay + n * kWidth) + dExponent * delta);
      dDelta += dExponent * load(decay + n * kWidth);
      dInput += dState * b;
      carried[n] = dState * kept;
    });
    if (s.startsAfresh(chunk.row, t)) forStates<N>(states, [&](int64_t n) { carried[n] = zero(); });
    const f32x16 dRaw = (dDelta * kLn2 + dInput * x) * load(work.slope + i * kWidth);
    dD += dOut * x;
    dDtBias += dRaw;
    if (out.dx) out.dx.store(at, dInput * delta + dOut * channels.d, channels.lanes);
    if (out.dDt) out.dDt.store(at, dRaw, channels.lanes);
  }
  forStates<N>(states, [&](int64_t n) { store(work.carried + group * position + n * kWidth, carried[n]); });
  store(work.dD + group * kWidth, dD);
  store(work.dDtBias + group * kWidth, dDtBias);
}

// The channel groups begin … end of one thread; groups inside `work` count from begin.
template <int N>
void backwardShare(const Scan& s, int64_t begin, int64_t end, const Outputs& out, const Work& work) {
  const int64_t position = s.states * kWidth, groups = end - begin;
  for (int64_t g = 0; g < groups; g++) loadDecay(s, Channels(s, begin + g), work.decay + g * position);
  std::fill(work.dDecay, work.dDecay + groups * position, 0.0f);
  std::fill(work.dD, work.dD + groups * kWidth, 0.0f);
  std::fill(work.dDtBias, work.dDtBias + groups * kWidth, 0.0f);
  for (int64_t row = 0; row < s.batch; row++) {
    for (int64_t g = 0; g < groups; g++) {
      float* carried = work.carried + g * position;
      const Channels channels(s, begin + g);
      const int64_t at = (row * s.channels + channels.first) * s.states;
      if (out.dNext) turnIn(out.dNext, at, channels.lanes, s.states, carried);
      else std::fill(carried, carried + position, 0.0f);
    }
    for (int64_t index = s.chunks - 1; index >= 0; index--) {
      Chunk chunk{row, index, index * s.chunk, std::min(s.chunk, s.length - index * s.chunk), nullptr, nullptr};
      const int64_t first = (row * s.length + chunk.begin) * s.states, count = chunk.count * s.states;
      chunk.b = floatRows(s.b, first, count, work.rowsB);
      chunk.c = floatRows(s.c, first, count, work.rowsC);
      std::fill(work.sumB, work.sumB + chunk.count * position, 0.0f);
      std::fill(work.sumC, work.sumC + chunk.count * position, 0.0f);
      for (int64_t g = 0; g < groups; g++) {
        const Channels channels(s, begin + g);
        replay<N>(s, chunk, channels, work.decay + g * position, out.checkpoints, work);
        sweep<N>(s, chunk, channels, g, out, work);
      }
      for (int64_t i = 0; i < count; i++) {
        work.shareB[first + i] = sum(load(work.sumB + i * kWidth));
        work.shareC[first + i] = sum(load(work.sumC + i * kWidth));
      }
    }
    for (int64_t g = 0; out.dState && g < groups; g++) {
      const Channels channels(s, begin + g);
      const int64_t at = (row * s.channels + channels.first) * s.states;
      turnOut(work.carried + g * position, channels.lanes, s.states, out.dState + at);
    }
  }
}

// Sums over positions that belong to channels: dA/daLog = A.
void storeChannels(const Scan& s, int64_t begin, int64_t end, const Outputs& out, const Work& work) {
  const int64_t position = s.states * kWidth;
  for (int64_t g = 0; g < end - begin; g++) {
    const Channels channels(s, begin + g);
    float* dDecay = work.dDecay + g * position;
    for (int64_t i = 0; i < position; i += kWidth) {
      store(dDecay + i, load(dDecay + i) * load(work.decay + g * position + i) * kLn2);
    }
    if (out.dALog) turnOut(dDecay, channels.lanes, s.states, out.dALog + channels.first * s.states);
    if (out.dD) storeLanes(out.dD + channels.first, load(work.dD + g * kWidth), channels.lanes);
    if (out.dDtBias) storeLanes(out.dDtBias + channels.first, load(work.dDtBias + g * kWidth), channels.lanes);
  }
}

void selectiveScanBackward(const Call& call) {
  const Scan s(call);
  const Outputs out{call.in(10),
                    optional(call, 11),
                    optional(call, 12),
                    call.out(0),
                    call.out(1),
                    call.out(2).as<float>(),
                    call.out(3).as<float>(),
                    call.out(4).as<float>(),
                    call.out(5).as<float>(),
                    call.out(6).as<float>(),
                    call.out(7).as<float>()};
  Team& team = call.team;
  const int64_t most = (s.groups + team.size() - 1) / team.size(), size = s.batch * s.length * s.states;
  const size_t bytes = Work::bytes(s, most);
  team.run([&](int thread) {
    const int64_t begin = s.groups * thread / team.size(), end = s.groups * (thread + 1) / team.size();
    const Work work(s, most, team.scratch(thread, bytes));
    if (begin == end) std::fill(work.shareB, work.shareB + 2 * size, 0.0f);
    withStates(s.states, [&](auto states) {
      if (begin < end) backwardShare<decltype(states)::value>(s, begin, end, out, work);
    });
    storeChannels(s, begin, end, out, work);
  });
  const auto addShares = [&](float* to, int64_t offset) {
    if (!to) return;
    forVectors(team, size, [&](int64_t i, int64_t n) {
      f32x16 total = zero();
      for (int thread = 0; thread < team.size(); thread++) {
        total += loadLanes(reinterpret_cast<const float*>(team.scratch(thread, bytes)) + offset + i, n);
      }
      storeLanes(to + i, total, n);
    });
  };
  addShares(out.dB, 0);
  addShares(out.dC, size);
}

}  // namespace

void registerScanBackward(KernelTable& table) { table.emplace("selectiveScanBackward", selectiveScanBackward); }

}  // namespace braid::BRAID_VARIANT
