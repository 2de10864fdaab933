// Gradients of the modal convolution. Chunk by chunk from the last one, the states are computed again from the checkpoint
// that entered it; then the gradient is carried back through them. A thread owns groups of sixteen channels in all rows, and
// takes four modes of a chunk at a time, so that all their sums stay in registers.
#include "modal.hpp"
#include "pieces.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int64_t kModes = 4;

struct Gradients {
  Source checkpoints, dz, dNext;
  Sink du;
  float *dResidues, *dLogPoles, *dState;
};

struct Work {
  float *poles, *residues, *states, *carried, *dResidues, *dLogPoles;  // one vector per mode, up to whole fours
  float *u, *dz, *du;  // one vector per position of a chunk
  float* before;       // the states of four modes before each position

  static int64_t modes(const Modal& m) { return (m.modes + kModes - 1) / kModes * kModes; }
  static size_t bytes(const Modal& m) {
    return static_cast<size_t>((6 * modes(m) + (3 + kModes) * m.chunk) * kWidth) * sizeof(float);
  }
  Work(const Modal& m, std::byte* memory) {
    Pieces pieces(memory);
    for (float** piece : {&poles, &residues, &states, &carried, &dResidues, &dLogPoles}) {
      *piece = pieces.take(modes(m) * kWidth);
      std::fill(*piece, *piece + modes(m) * kWidth, 0.0f);
    }
    for (float** piece : {&u, &dz, &du}) *piece = pieces.take(m.chunk * kWidth);
    before = pieces.take(kModes * m.chunk * kWidth);
  }
};

struct Stretch {
  int64_t row, group, index, begin, end;
};

void takeChunk(const Modal& m, const Stretch& part, const Gradients& g, const Work& work) {
  const int64_t lanes = m.lanes(part.group);
  for (int64_t t = part.begin; t < part.end; t++) {
    const int64_t at = m.inputAt(part.row, t, part.group), i = (t - part.begin) * kWidth;
    store(work.u + i, m.u.load(at, lanes));
    store(work.dz + i, g.dz ? g.dz.load(at, lanes) : zero());
    store(work.du + i, zero());
  }
  turnIn(g.checkpoints, m.stateAt(part.row * m.chunks + part.index, part.group), lanes, m.modes, work.states);
}

// The states of the modes from `first` on before every position.
void recompute(const Modal& m, const Stretch& part, int64_t first, const Work& work) {
  f32x16 poles[kModes], states[kModes];
  for (int n = 0; n < kModes; n++) poles[n] = load(work.poles + (first + n) * kWidth);
  for (int n = 0; n < kModes; n++) states[n] = load(work.states + (first + n) * kWidth);
  for (int64_t t = part.begin; t < part.end; t++) {
    if (m.history.startsAfresh(part.row, t)) {
      for (int n = 0; n < kModes; n++) states[n] = zero();
    }
    const int64_t i = (t - part.begin) * kWidth;
    const f32x16 u = load(work.u + i);
    for (int n = 0; n < kModes; n++) {
      store(work.before + i * kModes + n * kWidth, states[n]);
      states[n] = fma(poles[n], states[n], u);
    }
  }
}

void carryBack(const Modal& m, const Stretch& part, int64_t first, const Work& work) {
  f32x16 poles[kModes], residues[kModes], carried[kModes], dResidues[kModes], dLogPoles[kModes];
  for (int n = 0; n < kModes; n++) {
    const int64_t at = (first + n) * kWidth;
    poles[n] = load(work.poles + at);
    residues[n] = load(work.residues + at);
    carried[n] = load(work.carried + at);
    dResidues[n] = dLogPoles[n] = zero();
  }
  for (int64_t t = part.end - 1; t >= part.begin; t--) {
    const int64_t i = (t - part.begin) * kWidth;
    const f32x16 u = load(work.u + i), dz = load(work.dz + i);
    f32x16 du = load(work.du + i);
    for (int n = 0; n < kModes; n++) {
      const f32x16 before = load(work.before + i * kModes + n * kWidth);
      const f32x16 gradient = fma(dz, residues[n], carried[n]);
      du += gradient;
      carried[n] = gradient * poles[n];
      dResidues[n] += dz * fma(poles[n], before, u);
      dLogPoles[n] += carried[n] * before;  // before is zero where a document starts
    }
    store(work.du + i, du);
    if (m.history.startsAfresh(part.row, t)) {
      for (int n = 0; n < kModes; n++) carried[n] = zero();
    }
  }
  // Sums of a chunk are added to those of all: rounding errors grow with its length alone.
  for (int n = 0; n < kModes; n++) {
    const int64_t at = (first + n) * kWidth;
    store(work.carried + at, carried[n]);
    store(work.dResidues + at, load(work.dResidues + at) + dResidues[n]);
    store(work.dLogPoles + at, load(work.dLogPoles + at) + dLogPoles[n]);
  }
}

void backwardGroup(const Modal& m, int64_t group, const Gradients& g, std::byte* memory) {
  const Work work(m, memory);
  const int64_t lanes = m.lanes(group);
  loadPoles(m, group, work.poles);
  turnIn(m.residues, m.modesAt(group), lanes, m.modes, work.residues);
  for (int64_t row = 0; row < m.batch; row++) {
    std::fill(work.carried, work.carried + m.modes * kWidth, 0.0f);
    if (g.dNext) turnIn(g.dNext, m.stateAt(row, group), lanes, m.modes, work.carried);
    for (int64_t index = m.chunks - 1; index >= 0; index--) {
      const Stretch part{row, group, index, index * m.chunk, std::min(m.length, (index + 1) * m.chunk)};
      takeChunk(m, part, g, work);
      for (int64_t first = 0; first < m.modes; first += kModes) {
        recompute(m, part, first, work);
        carryBack(m, part, first, work);
      }
      for (int64_t t = part.begin; g.du && t < part.end; t++) {
        g.du.store(m.inputAt(row, t, group), load(work.du + (t - part.begin) * kWidth), lanes);
      }
    }
    if (g.dState) turnOut(work.carried, lanes, m.modes, g.dState + m.stateAt(row, group));
  }
  if (g.dResidues) turnOut(work.dResidues, lanes, m.modes, g.dResidues + m.modesAt(group));
  if (g.dLogPoles) turnOut(work.dLogPoles, lanes, m.modes, g.dLogPoles + m.modesAt(group));
}

void modalConvolutionBackward(const Call& call) {
  const Modal m(call);
  const Gradients g{call.in(6),
                    optional(call, 7),
                    optional(call, 8),
                    call.out(0),
                    call.out(1).as<float>(),
                    call.out(2).as<float>(),
                    call.out(3).as<float>()};
  call.team.split(m.groups, 1, [&](int64_t begin, int64_t end, int thread) {
    std::byte* memory = call.team.scratch(thread, Work::bytes(m));
    for (int64_t group = begin; group < end; group++) backwardGroup(m, group, g, memory);
  });
}

}  // namespace

void registerModalConvolutionBackward(KernelTable& table) {
  table.emplace("modalConvolutionBackward", modalConvolutionBackward);
}

}  // namespace braid::BRAID_VARIANT
