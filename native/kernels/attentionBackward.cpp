// Gradients of attention. The weights are computed again from logsumexp, block by block (Dao et al. 2022, algorithm 4):
//   p = exp(s − logsumexp), dp = dOut · vᵀ, ds = p ⊙ (dp − Σ dOut ⊙ out);  dq = ds·k, dk = dsᵀ·q, dv = pᵀ·dOut.
// Tiles of queries are dealt to threads; every thread sums dk and dv over its tiles, and these are added in thread order.
#include "attentionBackwardFloat.hpp"
#include "attentionBackwardPairs.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// dk or dv of one key-value head: the sum over `shares` of the threads' parts, in thread order.
template <typename Share>
void storeKeys(const Attention& a, int64_t unit, int64_t begin, int64_t end, int shares, const Share& share,
               const Sink& to, int64_t width) {
  if (!to) return;
  for (int64_t j = begin; j < end; j++) {
    const int64_t at = ((unit / a.groups * a.keys + j) * a.groups + unit % a.groups) * width;
    forVectors(0, width, [&](int64_t i, int64_t n) {
      f32x16 total = load(share(0) + j * padded(width) + i);
      for (int s = 1; s < shares; s++) total += load(share(s) + j * padded(width) + i);
      to.store(at + i, total, n);
    });
  }
}

template <typename Kind>
void backward(const Attention& a, Team& team, const Gradients& g) {
  const int64_t e = padded(a.e), f = padded(a.f), keySums = keySumRows(a) * e, valueSums = keySumRows(a) * f;
  const size_t bytes = static_cast<size_t>(Kind::floats(a) + keySums + valueSums) * sizeof(float);
  const int64_t units = a.batch * a.groups;
  const int threads = team.size();
  const auto sums = [&](int thread) { return reinterpret_cast<float*>(team.scratch(thread, bytes)); };
  // The tiles of a unit that are one thread's, out of `shares`.
  const auto addTiles = [&](Kind& kind, float* dKeys, int64_t unit, int share, int shares) {
    std::fill(dKeys, dKeys + keySums + valueSums, 0.0f);
    kind.takeUnit(unit / a.groups, unit % a.groups);
    for (int64_t tile = 0; tile < a.tiles; tile++) {
      if (tileOwner(tile, shares) != share) continue;
      kind.addTile(Tile(a, unit / a.groups, unit % a.groups, tile), dKeys, dKeys + keySums);
    }
  };
  // Where whole units give every thread as much to do, nothing has to be added up between threads.
  if (units % threads == 0 || units >= 8 * threads) {
    team.run([&](int thread) {
      Pieces pieces(team.scratch(thread, bytes));
      float* dKeys = pieces.take(keySums + valueSums);
      Kind kind(a, g, pieces);
      for (int64_t unit = thread; unit < units; unit += threads) {
        addTiles(kind, dKeys, unit, 0, 1);
        storeKeys(a, unit, 0, a.keys, 1, [&](int) { return dKeys; }, g.dk, a.e);
        storeKeys(a, unit, 0, a.keys, 1, [&](int) { return dKeys + keySums; }, g.dv, a.f);
      }
    });
    return;
  }
  for (int64_t unit = 0; unit < units; unit++) {
    team.run([&](int thread) {
      Pieces pieces(team.scratch(thread, bytes));
      float* dKeys = pieces.take(keySums + valueSums);
      Kind kind(a, g, pieces);
      addTiles(kind, dKeys, unit, thread, threads);
    });
    team.split(a.keys, rowGrain(a.e + a.f), [&](int64_t begin, int64_t end, int) {
      storeKeys(a, unit, begin, end, threads, sums, g.dk, a.e);
      storeKeys(a, unit, begin, end, threads, [&](int s) { return sums(s) + keySums; }, g.dv, a.f);
    });
  }
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
