// The modal convolution of Hyena-LI, forward: s_t = exp(logPoles) ⊙ s_{t−1} + u_t, z_t = Σ R ⊙ s_t. Every thread owns groups
// of sixteen channels of some rows.
#include "modal.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Outputs {
  Sink z;
  float *checkpoints, *state;
};

// One group of channels over a whole row. N: the number of modes, or 0.
template <int N>
void convolveRow(const Modal& m, int64_t row, int64_t group, const float* poles, const float* residues, float* memory,
                 const Outputs& out) {
  const int64_t lanes = m.lanes(group), modes = N > 0 ? N : m.modes;
  Modes<N> s(memory);
  s.clear(modes);
  if (m.state) s.read(m.state, m.stateAt(row, group), lanes, modes);
  for (int64_t t = 0; t < m.length; t++) {
    if (out.checkpoints && t % m.chunk == 0) {
      s.write(out.checkpoints + m.stateAt(row * m.chunks + t / m.chunk, group), lanes, modes);
    }
    if (m.history.startsAfresh(row, t)) s.clear(modes);
    const int64_t at = m.inputAt(row, t, group);
    m.u.prefetch(at + 8 * m.channels);
    const f32x16 u = m.u.load(at, lanes);
    f32x16 z[2] = {zero(), zero()};
    forStates<N>(modes, [&](int64_t n) {
      const f32x16 next = fma(load(poles + n * kWidth), s.get(n), u);
      s.set(n, next);
      z[n % 2] += load(residues + n * kWidth) * next;
    });
    if (out.z) out.z.store(at, z[0] + z[1], lanes);
  }
  if (out.state) s.write(out.state + m.stateAt(row, group), lanes, modes);
}

void modalConvolution(const Call& call) {
  const Modal m(call);
  const Outputs out{call.out(0), call.out(1).as<float>(), call.out(2).as<float>()};
  const int64_t size = m.modes * kWidth;
  call.team.split(m.groups * m.batch, 1, [&](int64_t begin, int64_t end, int thread) {
    float* poles = reinterpret_cast<float*>(call.team.scratch(thread, static_cast<size_t>(3 * size) * sizeof(float)));
    for (int64_t unit = begin; unit < end; unit++) {
      const int64_t group = unit / m.batch, row = unit % m.batch;
      if (unit == begin || row == 0) {
        loadPoles(m, group, poles);
        turnIn(m.residues, m.modesAt(group), m.lanes(group), m.modes, poles + size);
      }
      withStates(m.modes, [&](auto modes) {
        convolveRow<decltype(modes)::value>(m, row, group, poles, poles + size, poles + 2 * size, out);
      });
    }
  });
  m.history.storeLast(call.out(3));
}

}  // namespace

void registerModalConvolution(KernelTable& table) { table.emplace("modalConvolution", modalConvolution); }

}  // namespace braid::BRAID_VARIANT
