// The modal convolution of Hyena-LI, forward: s_t = exp(logPoles) ⊙ s_{t−1} + u_t, z_t = Σ R ⊙ s_t. A strip of channels goes
// down the positions of a row a stretch at a time, one group of sixteen channels after the other: whole cache lines are then
// used while they are near.
#include "modal.hpp"
#include "pieces.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int64_t kStretch = 64;  // positions

struct Outputs {
  Sink z;
  float *checkpoints, *state;
};

// One vector per mode of each group of a strip.
struct Work {
  float *poles, *residues, *states;
  int64_t size;  // of a group

  static size_t bytes(const Modal& m) { return static_cast<size_t>(3 * kStripVectors * m.modes * kWidth) * sizeof(float); }
  Work(const Modal& m, std::byte* memory) : size(m.modes * kWidth) {
    Pieces pieces(memory);
    for (float** piece : {&poles, &residues, &states}) *piece = pieces.take(kStripVectors * size);
  }
};

// Positions of a row.
struct Stretch {
  int64_t row, begin, end;
};

// One group of channels through a stretch. N: the number of modes, or 0.
template <int N>
void convolveStretch(const Modal& m, const Stretch& part, int64_t group, const float* poles, const float* residues,
                     float* states, const Outputs& out) {
  const int64_t lanes = m.lanes(group), modes = N > 0 ? N : m.modes;
  Modes<N> s(states);
  s.load(modes);
  if (out.checkpoints && part.begin % m.chunk == 0) {
    turnOut(states, lanes, modes, out.checkpoints + m.stateAt(part.row * m.chunks + part.begin / m.chunk, group));
  }
  for (int64_t t = part.begin; t < part.end; t++) {
    if (m.history.startsAfresh(part.row, t)) s.clear(modes);
    const int64_t at = m.inputAt(part.row, t, group);
    m.u.prefetch(at + kStretch * m.channels);
    const f32x16 u = m.u.load(at, lanes);
    f32x16 z[2] = {zero(), zero()};
    forStates<N>(modes, [&](int64_t n) {
      const f32x16 next = fma(load(poles + n * kWidth), s.get(n), u);
      s.set(n, next);
      z[n % 2] += load(residues + n * kWidth) * next;
    });
    if (out.z) out.z.store(at, z[0] + z[1], lanes);
  }
  s.store(modes);
}

void convolveRow(const Modal& m, int64_t row, int64_t first, int64_t last, const Work& work, const Outputs& out) {
  for (int64_t group = first; group < last; group++) {
    float* states = work.states + (group - first) * work.size;
    if (m.state) turnIn(m.state, m.stateAt(row, group), m.lanes(group), m.modes, states);
    else std::fill(states, states + work.size, 0.0f);
  }
  for (int64_t t = 0, end; t < m.length; t = end) {
    end = std::min({t + kStretch, m.length, (t / m.chunk + 1) * m.chunk});
    for (int64_t group = first; group < last; group++) {
      const int64_t own = (group - first) * work.size;
      withStates(m.modes, [&](auto modes) {
        convolveStretch<decltype(modes)::value>(m, {row, t, end}, group, work.poles + own, work.residues + own,
                                                work.states + own, out);
      });
    }
  }
  for (int64_t group = first; out.state && group < last; group++) {
    turnOut(work.states + (group - first) * work.size, m.lanes(group), m.modes, out.state + m.stateAt(row, group));
  }
}

void modalConvolution(const Call& call) {
  const Modal m(call);
  const Outputs out{call.out(0), call.out(1).as<float>(), call.out(2).as<float>()};
  call.team.share(stripCount(m.channels) * m.batch, 1, [&](int64_t piece, int64_t, int thread) {
    const Work work(m, call.team.scratch(thread, Work::bytes(m)));
    const int64_t first = piece / m.batch * kStripVectors, last = std::min(first + kStripVectors, m.groups);
    for (int64_t group = first; group < last; group++) {
      const int64_t own = (group - first) * work.size;
      loadPoles(m, group, work.poles + own);
      turnIn(m.residues, m.modesAt(group), m.lanes(group), m.modes, work.residues + own);
    }
    convolveRow(m, piece % m.batch, first, last, work, out);
  });
  m.history.storeLast(call.out(3));
}

}  // namespace

void registerModalConvolution(KernelTable& table) { table.emplace("modalConvolution", modalConvolution); }

}  // namespace braid::BRAID_VARIANT
