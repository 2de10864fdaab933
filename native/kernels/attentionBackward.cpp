// Gradients of attention. The weights are computed again from logsumexp, block by block (Dao et al. 2022, algorithm 4):
//   p = exp(s − logsumexp), dp = dOut · vᵀ, ds = p ⊙ (dp − Σ dOut ⊙ out);  dq = ds·k, dk = dsᵀ·q, dv = pᵀ·dOut.
// Tiles of queries are dealt to threads; every thread sums dk and dv over its tiles, and these are added in thread order.
#include "attentionProducts.hpp"
#include "math.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Work {
  float *dKeys, *dValues;  // of all keys of one key-value head, and a few more
  float *queries, *gradients, *scores, *slopes, *dQueries, *queryRows, *gradientRows, *logsumexp, *delta, *scale;

  static int64_t keyRows(const Attention& a) { return a.keys + kWidth; }
  static int64_t floats(const Attention& a) {
    const int64_t e = padded(a.e), f = padded(a.f);
    return keyRows(a) * (e + f) + (a.e + a.f + 2 * kKeys + 2 * e + f + 3) * kSlots;
  }

  Work(const Attention& a, Pieces& pieces)
      : dKeys(pieces.take(keyRows(a) * padded(a.e))),
        dValues(pieces.take(keyRows(a) * padded(a.f))),
        queries(pieces.take(a.e * kSlots)),
        gradients(pieces.take(a.f * kSlots)),
        scores(pieces.take(kKeys * kSlots)),
        slopes(pieces.take(kKeys * kSlots)),
        dQueries(pieces.take(padded(a.e) * kSlots)),
        queryRows(pieces.take(padded(a.e) * kSlots)),
        gradientRows(pieces.take(padded(a.f) * kSlots)),
        logsumexp(pieces.take(kSlots)),
        delta(pieces.take(kSlots)),
        scale(pieces.take(kSlots)) {}
};

struct Gradients {
  Source out, logsumexp, dOut;
  Sink dq, dk, dv;
};

// Rows of the tile as they stand, padded to whole vectors.
void packRows(const Attention& a, const Tile& tile, const Source& from, int64_t width, float factor, float* to) {
  for (int64_t s = 0; s < tile.count; s++) {
    const int64_t at = tile.offset(a, s, width);
    float* row = to + s * padded(width);
    forVectors(0, width, [&](int64_t i, int64_t n) { store(row + i, from.load(at + i, n) * factor); });
  }
}

void pack(const Attention& a, const Tile& tile, const Gradients& g, const Work& work) {
  packColumns(a, tile, a.q, a.e, a.scale * kLog2e, work.queries);
  packColumns(a, tile, g.dOut, a.f, 1, work.gradients);
  packRows(a, tile, a.q, a.e, a.scale, work.queryRows);
  packRows(a, tile, g.dOut, a.f, 1, work.gradientRows);
  for (int64_t s = 0; s < kSlots; s++) {
    work.scale[s] = a.scale;
    work.delta[s] = 0;
    work.logsumexp[s] = 1e30f;  // a lane without a slot: weights of zero
    if (s >= tile.count) continue;
    const int64_t slot = tile.begin + s, head = tile.group * a.ratio + slot % a.ratio, at = tile.offset(a, s, a.f);
    work.logsumexp[s] = g.logsumexp.at((tile.row * a.heads + head) * a.length + slot / a.ratio) * kLog2e;
    f32x16 delta = zero();
    forVectors(0, a.f, [&](int64_t i, int64_t n) { delta += g.out.load(at + i, n) * g.dOut.load(at + i, n); });
    work.delta[s] = sum(delta);
  }
}

// Scores (base 2) become weights, slopes (dOut · v) become gradients of the scores.
void weigh(const Tile& tile, const Work& work, int64_t firstKey, int64_t keys) {
  const bool whole = tile.whole(firstKey, keys);
  for (int64_t v = 0; v < tile.vectors; v++) {
    const f32x16 logsumexp = load(work.logsumexp + v * kWidth), delta = load(work.delta + v * kWidth);
    for (int64_t j = 0; j < keys; j++) {
      float* score = work.scores + j * kSlots + v * kWidth;
      float* slope = work.slopes + j * kSlots + v * kWidth;
      f32x16 weight = exp2(load(score) - logsumexp);
      if (!whole) weight = select(seen(tile, firstKey + j, v), weight, zero());
      store(score, weight);
      store(slope, weight * (load(slope) - delta));
    }
  }
}

template <typename Products>
void backwardTile(const Attention& a, const Tile& tile, const Gradients& g, const Work& work, Products& products) {
  pack(a, tile, g, work);
  products.takeTile(tile, {work.queries, work.gradients, work.queryRows, work.gradientRows});
  std::fill(work.dQueries, work.dQueries + padded(a.e) * kSlots, 0.0f);
  tile.forBlocks([&](int64_t first, int64_t keys) {
    products.takeBlock(first, keys);
    products.scores(work.scores);
    products.slopes(work.slopes);
    weigh(tile, work, first, keys);
    products.addGradients(work.scores, work.slopes, work.dQueries, work.dKeys, work.dValues);
  });
  if (g.dq) unpackColumns(a, tile, work.dQueries, work.scale, a.e, g.dq);
}

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

template <typename Products>
void backward(const Attention& a, Team& team, const Gradients& g) {
  const size_t bytes = static_cast<size_t>(Work::floats(a) + Products::floats(a, true)) * sizeof(float);
  const int64_t units = a.batch * a.groups, keySums = Work::keyRows(a) * padded(a.e);
  const int threads = team.size();
  const auto sums = [&](int thread) { return reinterpret_cast<float*>(team.scratch(thread, bytes)); };
  // The tiles of a unit that are one thread's, out of `shares`.
  const auto addTiles = [&](const Work& work, Products& products, int64_t unit, int share, int shares) {
    std::fill(work.dKeys, work.dKeys + keySums + Work::keyRows(a) * padded(a.f), 0.0f);
    products.takeUnit(unit / a.groups, unit % a.groups);
    for (int64_t tile = 0; tile < a.tiles; tile++) {
      if (tileOwner(tile, shares) == share) {
        backwardTile(a, Tile(a, unit / a.groups, unit % a.groups, tile), g, work, products);
      }
    }
  };
  // Where whole units give every thread as much to do, nothing has to be added up between threads.
  if (units % threads == 0 || units >= 8 * threads) {
    team.run([&](int thread) {
      Pieces pieces(team.scratch(thread, bytes));
      const Work work(a, pieces);
      Products products(a, true, pieces);
      for (int64_t unit = thread; unit < units; unit += threads) {
        addTiles(work, products, unit, 0, 1);
        storeKeys(a, unit, 0, a.keys, 1, [&](int) { return work.dKeys; }, g.dk, a.e);
        storeKeys(a, unit, 0, a.keys, 1, [&](int) { return work.dValues; }, g.dv, a.f);
      }
    });
    return;
  }
  for (int64_t unit = 0; unit < units; unit++) {
    team.run([&](int thread) {
      Pieces pieces(team.scratch(thread, bytes));
      const Work work(a, pieces);
      Products products(a, true, pieces);
      addTiles(work, products, unit, thread, threads);
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
  withProducts(a, call.team, [&](auto* kind) {
    backward<std::remove_pointer_t<decltype(kind)>>(a, call.team, g);
  });
}

}  // namespace

void registerAttentionBackward(KernelTable& table) { table.emplace("attentionBackward", attentionBackward); }

}  // namespace braid::BRAID_VARIANT
