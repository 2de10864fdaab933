// Gradients of attention. The weights are computed again from logsumexp, block by block (Dao et al. 2022, algorithm 4):
//   p = exp(s − logsumexp), dp = dOut · vᵀ, ds = p ⊙ (dp − Σ dOut ⊙ out);  dq = ds·k, dk = dsᵀ·q, dv = pᵀ·dOut.
// A unit, a key-value head of a row, is one piece of work, with sums of dk and dv over its tiles. Those that do not go round
// among the threads are cut into parts with sums of their own, which are added in their order.
#include <vector>

#include "attentionBackwardFloat.hpp"
#include "attentionBackwardPairs.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// dk and dv of the keys begin … end of a unit: the sum over its parts.
class KeySums {
 public:
  KeySums(const Attention& a, const Gradients& g) : a_(a), g_(g), keys_(keySumRows(a) * padded(a.e)) {}

  int64_t floats() const { return keys_ + keySumRows(a_) * padded(a_.f); }
  float* keysOf(float* sums) const { return sums; }
  float* valuesOf(float* sums) const { return sums + keys_; }

  void give(int64_t unit, int64_t begin, int64_t end, float* const* parts, int64_t count) const {
    give(unit, begin, end, parts, count, 0, g_.dk, a_.e);
    give(unit, begin, end, parts, count, keys_, g_.dv, a_.f);
  }

 private:
  void give(int64_t unit, int64_t begin, int64_t end, float* const* parts, int64_t count, int64_t from, const Sink& to,
            int64_t width) const {
    for (int64_t j = begin; to && j < end; j++) {
      const int64_t at = ((unit / a_.groups * a_.keys + j) * a_.groups + unit % a_.groups) * width;
      forVectors(0, width, [&](int64_t i, int64_t n) {
        const int64_t own = from + j * padded(width) + i;
        f32x16 total = load(parts[0] + own);
        for (int64_t part = 1; part < count; part++) total += load(parts[part] + own);
        to.store(at + i, total, n);
      });
    }
  }

  const Attention& a_;
  const Gradients& g_;
  const int64_t keys_;
};

template <typename Kind>
void backward(const Attention& a, Team& team, const Gradients& g) {
  const KeySums sums(a, g);
  const int64_t units = a.batch * a.groups, threads = team.size();
  // The rest of the units, which would leave threads without work, in parts that go round at least twice.
  const int64_t rest = units >= 8 * threads ? 0 : units % threads;
  const int64_t parts = rest > 0 ? std::min(a.tiles, (2 * threads + rest - 1) / rest) : 1;
  const int64_t whole = units - rest, perThread = 1 + (rest * parts + threads - 1) / threads;
  const size_t bytes = static_cast<size_t>(Kind::floats(a) + perThread * sums.floats()) * sizeof(float);
  std::vector<float*> memory;
  for (int thread = 0; thread < threads; thread++) {
    memory.push_back(reinterpret_cast<float*>(team.scratch(thread, bytes)));
  }
  // Sums of a thread's whole units, and of the parts.
  std::vector<float*> partial;
  for (int64_t i = 0; i < rest * parts; i++) partial.push_back(memory[i % threads] + (1 + i / threads) * sums.floats());
  const auto addTiles = [&](int thread, int64_t unit, int64_t part, int64_t count, float* to) {
    Pieces pieces(reinterpret_cast<std::byte*>(memory[thread] + perThread * sums.floats()));
    Kind kind(a, g, pieces);
    std::fill(to, to + sums.floats(), 0.0f);
    kind.takeUnit(unit / a.groups, unit % a.groups);
    const auto fetch = [&](const Tile& next) {
      next.fetch(a.q, a.e);
      next.fetch(g.out, a.f);
      next.fetch(g.dOut, a.f);
    };
    forTiles(a, unit, part, count, fetch,
             [&](const Tile& tile) { kind.addTile(tile, sums.keysOf(to), sums.valuesOf(to)); });
  };
  team.share(whole + rest * parts, 1, [&](int64_t piece, int64_t, int thread) {
    const int64_t i = piece - whole;
    if (i >= 0) return addTiles(thread, whole + i / parts, i % parts, parts, partial[i]);
    addTiles(thread, piece, 0, 1, memory[thread]);
    sums.give(piece, 0, a.keys, &memory[thread], 1);
  });
  team.share(rest * a.keys, rowGrain(a.e + a.f), [&](int64_t begin, int64_t end, int) {
    for (int64_t at = begin; at < end; at++) {
      const int64_t unit = at / a.keys, key = at % a.keys;
      sums.give(whole + unit, key, key + 1, &partial[unit * parts], parts);
    }
  });
}

void attentionBackward(const Call& call) {
  const Attention a(call);
  const Gradients g{call.in(6), call.in(7), call.in(8), call.out(0), call.out(1), call.out(2)};
#if defined(BRAID_HAS_TILES)
  if (a.inPairs(call.team)) return backward<PairBackward>(a, call.team, g);
#endif
  backward<FloatBackward>(a, call.team, g);
}

}  // namespace

void registerAttentionBackward(KernelTable& table) { table.emplace("attentionBackward", attentionBackward); }

}  // namespace braid::BRAID_VARIANT
