// Gradients of the modal convolution. Chunk by chunk from the last one, the states are computed again from the checkpoint
// that entered it; then the gradient is carried back through them. A strip of channels is one piece of work in all rows, a
// chunk of one group of sixteen channels after the other, four modes at a time, so that all their sums stay in registers.
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

// One vector per mode of a group, up to whole fours.
struct Lanes {
  float *poles, *residues, *carried, *dResidues, *dLogPoles;

  static int64_t modes(const Modal& m) { return (m.modes + kModes - 1) / kModes * kModes; }
  static int64_t floats(const Modal& m) { return 5 * modes(m) * kWidth; }
  Lanes(const Modal& m, Pieces& pieces) {
    for (float** piece : {&poles, &residues, &carried, &dResidues, &dLogPoles}) *piece = pieces.take(modes(m) * kWidth);
  }

  void take(const Modal& m, int64_t group) const {
    std::fill(poles, poles + floats(m), 0.0f);
    loadPoles(m, group, poles);
    turnIn(m.residues, m.modesAt(group), m.lanes(group), m.modes, residues);
  }
};

struct Work {
  float* states;
  float *u, *dz, *du;  // one vector per position of a chunk
  float* before;       // the states of four modes before each position
  Lanes all[kStripVectors];

  static size_t bytes(const Modal& m) {
    return static_cast<size_t>(kStripVectors * Lanes::floats(m) + (Lanes::modes(m) + (3 + kModes) * m.chunk) * kWidth) *
           sizeof(float);
  }
  Work(const Modal& m, Pieces pieces)
      : states(pieces.take(Lanes::modes(m) * kWidth)),
        u(pieces.take(m.chunk * kWidth)),
        dz(pieces.take(m.chunk * kWidth)),
        du(pieces.take(m.chunk * kWidth)),
        before(pieces.take(kModes * m.chunk * kWidth)),
        all{{m, pieces}, {m, pieces}, {m, pieces}, {m, pieces}} {
    std::fill(states, states + Lanes::modes(m) * kWidth, 0.0f);
  }
};

struct Stretch {
  int64_t row, group, index, begin, end;
};

void takeChunk(const Modal& m, const Stretch& part, const Gradients& g, const Work& work) {
  const int64_t lanes = m.lanes(part.group);
  for (int64_t t = part.begin; t < part.end; t++) {
    const int64_t at = m.inputAt(part.row, t, part.group), i = (t - part.begin) * kWidth, next = at - m.chunk * m.channels;
    if (part.index > 0) {
      m.u.prefetch(next);
      if (g.dz) g.dz.prefetch(next);
    }
    store(work.u + i, m.u.load(at, lanes));
    store(work.dz + i, g.dz ? g.dz.load(at, lanes) : zero());
    store(work.du + i, zero());
  }
  turnIn(g.checkpoints, m.stateAt(part.row * m.chunks + part.index, part.group), lanes, m.modes, work.states);
}

// The states of the modes from `first` on before every position.
void recompute(const Modal& m, const Stretch& part, int64_t first, const Lanes& own, const Work& work) {
  f32x16 poles[kModes], states[kModes];
  for (int n = 0; n < kModes; n++) poles[n] = load(own.poles + (first + n) * kWidth);
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

void carryBack(const Modal& m, const Stretch& part, int64_t first, const Lanes& own, const Work& work) {
  f32x16 poles[kModes], residues[kModes], carried[kModes], dResidues[kModes], dLogPoles[kModes];
  for (int n = 0; n < kModes; n++) {
    const int64_t at = (first + n) * kWidth;
    poles[n] = load(own.poles + at);
    residues[n] = load(own.residues + at);
    carried[n] = load(own.carried + at);
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
    store(own.carried + at, carried[n]);
    store(own.dResidues + at, load(own.dResidues + at) + dResidues[n]);
    store(own.dLogPoles + at, load(own.dLogPoles + at) + dLogPoles[n]);
  }
}

void backwardChunk(const Modal& m, const Stretch& part, const Gradients& g, const Lanes& own, const Work& work) {
  takeChunk(m, part, g, work);
  for (int64_t first = 0; first < m.modes; first += kModes) {
    recompute(m, part, first, own, work);
    carryBack(m, part, first, own, work);
  }
  for (int64_t t = part.begin; g.du && t < part.end; t++) {
    g.du.store(m.inputAt(part.row, t, part.group), load(work.du + (t - part.begin) * kWidth), m.lanes(part.group));
  }
}

// The groups first … last in all rows.
void backwardStrip(const Modal& m, int64_t first, int64_t last, const Gradients& g, const Work& work) {
  const auto forGroups = [&](const auto& body) {
    for (int64_t group = first; group < last; group++) body(group, work.all[group - first]);
  };
  forGroups([&](int64_t group, const Lanes& own) { own.take(m, group); });
  for (int64_t row = 0; row < m.batch; row++) {
    forGroups([&](int64_t group, const Lanes& own) {
      std::fill(own.carried, own.carried + m.modes * kWidth, 0.0f);
      if (g.dNext) turnIn(g.dNext, m.stateAt(row, group), m.lanes(group), m.modes, own.carried);
    });
    for (int64_t index = m.chunks - 1; index >= 0; index--) {
      const int64_t begin = index * m.chunk, end = std::min(m.length, begin + m.chunk);
      forGroups([&](int64_t group, const Lanes& own) { backwardChunk(m, {row, group, index, begin, end}, g, own, work); });
    }
    forGroups([&](int64_t group, const Lanes& own) {
      if (g.dState) turnOut(own.carried, m.lanes(group), m.modes, g.dState + m.stateAt(row, group));
    });
  }
  forGroups([&](int64_t group, const Lanes& own) {
    if (g.dResidues) turnOut(own.dResidues, m.lanes(group), m.modes, g.dResidues + m.modesAt(group));
    if (g.dLogPoles) turnOut(own.dLogPoles, m.lanes(group), m.modes, g.dLogPoles + m.modesAt(group));
  });
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
  call.team.share(stripCount(m.channels), 1, [&](int64_t strip, int64_t, int thread) {
    const Work work(m, Pieces(call.team.scratch(thread, Work::bytes(m))));
    backwardStrip(m, strip * kStripVectors, std::min((strip + 1) * kStripVectors, m.groups), g, work);
  });
}

}  // namespace

void registerModalConvolutionBackward(KernelTable& table) {
  table.emplace("modalConvolutionBackward", modalConvolutionBackward);
}

}  // namespace braid::BRAID_VARIANT
