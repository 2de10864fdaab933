// Gradients of the modal convolution. Chunk by chunk from the last one, the states are computed again from the checkpoint
// that entered it; then the gradient is carried back through them. A thread owns groups of sixteen channels in all rows.
#include "modal.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Gradients {
  Source checkpoints, dz, dNext;
  Sink du;
  float *dResidues, *dLogPoles, *dState;
};

struct Work {
  float *poles, *residues, *memory, *carried;  // one vector per mode
  float *dResidues, *dLogPoles;                // sums over all rows
  float *partResidues, *partLogPoles;          // sums over a chunk: rounding errors grow with its length alone
  float* before;                               // the states before each position of a chunk

  static size_t bytes(const Modal& m) {
    return static_cast<size_t>((8 + m.chunk) * m.modes * kWidth) * sizeof(float);
  }
  Work(const Modal& m, std::byte* bytes) {
    float* next = reinterpret_cast<float*>(bytes);
    for (float** piece : {&poles, &residues, &memory, &carried, &dResidues, &dLogPoles, &partResidues, &partLogPoles, &before}) {
      *piece = next;
      next += m.modes * kWidth;
    }
  }
};

void addTo(float* total, float* part, int64_t count) {
  for (int64_t i = 0; i < count; i += kWidth) {
    store(total + i, load(total + i) + load(part + i));
    store(part + i, zero());
  }
}

struct Stretch {
  int64_t row, group, index, begin, end;
};

template <int N>
void recompute(const Modal& m, const Stretch& part, const Gradients& g, const Work& work) {
  const int64_t modes = N > 0 ? N : m.modes, lanes = m.lanes(part.group);
  Modes<N> s(work.memory);
  s.read(g.checkpoints, m.stateAt(part.row * m.chunks + part.index, part.group), lanes, modes);
  for (int64_t t = part.begin; t < part.end; t++) {
    if (m.history.startsAfresh(part.row, t)) s.clear(modes);
    float* before = work.before + (t - part.begin) * modes * kWidth;
    const f32x16 u = m.u.load(m.inputAt(part.row, t, part.group), lanes);
    forStates<N>(modes, [&](int64_t n) {
      store(before + n * kWidth, s.get(n));
      s.set(n, fma(load(work.poles + n * kWidth), s.get(n), u));
    });
  }
}

template <int N>
void carryBack(const Modal& m, const Stretch& part, const Gradients& g, const Work& work) {
  const int64_t modes = N > 0 ? N : m.modes, lanes = m.lanes(part.group);
  f32x16 carried[N > 0 ? N : 1];
  if constexpr (N > 0) forStates<N>(modes, [&](int64_t n) { carried[n] = load(work.carried + n * kWidth); });
  for (int64_t t = part.end - 1; t >= part.begin; t--) {
    const int64_t at = m.inputAt(part.row, t, part.group);
    const float* before = work.before + (t - part.begin) * modes * kWidth;
    const f32x16 u = m.u.load(at, lanes), dz = g.dz ? g.dz.load(at, lanes) : zero();
    const f32x16 through = m.history.startsAfresh(part.row, t) ? zero() : splat(1);
    f32x16 du[2] = {zero(), zero()};
    forStates<N>(modes, [&](int64_t n) {
      const int64_t i = n * kWidth;
      const f32x16 pole = load(work.poles + i), own = load(before + i);
      f32x16 from;
      if constexpr (N > 0) {
        from = carried[n];
      } else {
        from = load(work.carried + i);
      }
      const f32x16 gradient = fma(dz, load(work.residues + i), from);
      du[n % 2] += gradient;
      const f32x16 back = gradient * pole * through;
      store(work.partResidues + i, fma(dz, fma(pole, own, u), load(work.partResidues + i)));
      store(work.partLogPoles + i, fma(back, own, load(work.partLogPoles + i)));
      if constexpr (N > 0) {
        carried[n] = back;
      } else {
        store(work.carried + i, back);
      }
    });
    if (g.du) g.du.store(at, du[0] + du[1], lanes);
  }
  if constexpr (N > 0) forStates<N>(modes, [&](int64_t n) { store(work.carried + n * kWidth, carried[n]); });
}

void backwardGroup(const Modal& m, int64_t group, const Gradients& g, const Work& work) {
  const int64_t lanes = m.lanes(group), size = m.modes * kWidth;
  loadPoles(m, group, work.poles);
  turnIn(m.residues, m.modesAt(group), lanes, m.modes, work.residues);
  std::fill(work.dResidues, work.dResidues + 4 * size, 0.0f);
  for (int64_t row = 0; row < m.batch; row++) {
    std::fill(work.carried, work.carried + size, 0.0f);
    if (g.dNext) turnIn(g.dNext, m.stateAt(row, group), lanes, m.modes, work.carried);
    for (int64_t index = m.chunks - 1; index >= 0; index--) {
      const Stretch part{row, group, index, index * m.chunk, std::min(m.length, (index + 1) * m.chunk)};
      withStates(m.modes, [&](auto modes) {
        recompute<decltype(modes)::value>(m, part, g, work);
        carryBack<decltype(modes)::value>(m, part, g, work);
      });
      addTo(work.dResidues, work.partResidues, size);
      addTo(work.dLogPoles, work.partLogPoles, size);
    }
    if (g.dState) turnOut(work.carried, lanes, m.modes, g.dState + m.stateAt(row, group));
  }
  if (g.dResidues) turnOut(work.dResidues, lanes, m.modes, g.dResidues + m.modesAt(group));
  if (g.dLogPoles) turnOut(work.dLogPoles, lanes, m.modes, g.dLogPoles + m.modesAt(group));
}

void modalConvolutionBackward(const Call& call) {
  const Modal m(call);
  const Gradients g{call.in(6),  optional(call, 7),         optional(call, 8),        call.out(0),
                    call.out(1).as<float>(), call.out(2).as<float>(), call.out(3).as<float>()};
  call.team.split(m.groups, 1, [&](int64_t begin, int64_t end, int thread) {
    const Work work(m, call.team.scratch(thread, Work::bytes(m)));
    for (int64_t group = begin; group < end; group++) backwardGroup(m, group, g, work);
  });
}

}  // namespace

void registerModalConvolutionBackward(KernelTable& table) {
  table.emplace("modalConvolutionBackward", modalConvolutionBackward);
}

}  // namespace braid::BRAID_VARIANT
