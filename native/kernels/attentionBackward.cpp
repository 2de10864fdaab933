// Gradients of attention. The weights are computed again from logsumexp, block by block (Dao et al. 2022, algorithm 4):
//   p = exp(s − logsumexp), dp = dOut · vᵀ, ds = p ⊙ (dp − Σ dOut ⊙ out);  dq = ds·k, dk = dsᵀ·q, dv = pᵀ·dOut.
// Tiles of queries are dealt to threads; every thread sums dk and dv over its tiles, and these are added in thread order.
#include "attentionTile.hpp"
#include "math.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Work {
  float *row, *queries, *gradients, *scores, *slopes, *dQueries, *keys, *values;
  float *queryRows, *gradientRows, *logsumexp, *delta, *scale;
  float *dKeys, *dValues;  // of all keys of one key-value head

  static size_t bytes(const Attention& a) {
    const int64_t e = padded(a.e), f = padded(a.f);
    return static_cast<size_t>(std::max(e, f) + (2 * a.e + a.f + 2 * kKeys + 3 + e + f) * kSlots +
                               (kKeys + a.keys) * (e + f)) *
           sizeof(float);
  }

  Work(const Attention& a, std::byte* memory) {
    const int64_t e = padded(a.e), f = padded(a.f);
    Pieces pieces(memory);
    dKeys = pieces.take(a.keys * e);
    dValues = pieces.take(a.keys * f);
    row = pieces.take(std::max(e, f));
    queries = pieces.take(a.e * kSlots);
    gradients = pieces.take(a.f * kSlots);
    scores = pieces.take(kKeys * kSlots);
    slopes = pieces.take(kKeys * kSlots);
    dQueries = pieces.take(a.e * kSlots);
    keys = pieces.take(kKeys * e);
    values = pieces.take(kKeys * f);
    queryRows = pieces.take(kSlots * e);
    gradientRows = pieces.take(kSlots * f);
    logsumexp = pieces.take(kSlots);
    delta = pieces.take(kSlots);
    scale = pieces.take(kSlots);
  }
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
  packColumns(a, tile, a.q, a.e, a.scale * kLog2e, work.row, work.queries);
  packColumns(a, tile, g.dOut, a.f, 1, work.row, work.gradients);
  packRows(a, tile, a.q, a.e, a.scale, work.queryRows);
  packRows(a, tile, g.dOut, a.f, 1, work.gradientRows);
  for (int64_t s = 0; s < kSlots; s++) {
    const int64_t slot = tile.begin + std::min(s, tile.count - 1), head = tile.group * a.ratio + slot % a.ratio;
    work.logsumexp[s] = g.logsumexp.at((tile.row * a.heads + head) * a.length + slot / a.ratio) * kLog2e;
    work.scale[s] = a.scale;
    f32x16 delta = zero();
    if (s < tile.count) {
      const int64_t at = tile.offset(a, s, a.f);
      forVectors(0, a.f, [&](int64_t i, int64_t n) { delta += g.out.load(at + i, n) * g.dOut.load(at + i, n); });
    }
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

void backwardTile(const Attention& a, const Tile& tile, const Gradients& g, const Work& work) {
  pack(a, tile, g, work);
  const int64_t e = padded(a.e), f = padded(a.f);
  std::fill(work.dQueries, work.dQueries + a.e * kSlots, 0.0f);
  tile.forBlocks([&](int64_t first, int64_t keys) {
    const KeyRows k = keyRows(a, tile, a.k, a.e, first, keys, work.keys);
    const KeyRows v = keyRows(a, tile, a.v, a.f, first, keys, work.values);
    tileProduct({a.e, k.data, k.stride, 1, work.queries, kSlots, work.scores, kSlots, false}, keys, tile.vectors);
    tileProduct({a.f, v.data, v.stride, 1, work.gradients, kSlots, work.slopes, kSlots, false}, keys, tile.vectors);
    weigh(tile, work, first, keys);
    tileProduct({keys, k.data, 1, k.stride, work.slopes, kSlots, work.dQueries, kSlots, true}, a.e, tile.vectors);
    tileProduct({tile.count, work.slopes, kSlots, 1, work.queryRows, e, work.dKeys + first * e, e, true}, keys,
                e / kWidth);
    tileProduct({tile.count, work.scores, kSlots, 1, work.gradientRows, f, work.dValues + first * f, f, true}, keys,
                f / kWidth);
  });
  if (g.dq) unpackColumns(a, tile, work.dQueries, work.scale, a.e, work.row, g.dq);
}

// Adds the threads' sums for one key-value head.
void reduce(const Attention& a, Team& team, int64_t row, int64_t group, const Sink& to, int64_t width, int64_t offset) {
  if (!to) return;
  team.split(a.keys, rowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t j = begin; j < end; j++) {
      const int64_t at = ((row * a.keys + j) * a.groups + group) * width;
      forVectors(0, width, [&](int64_t i, int64_t n) {
        f32x16 total = zero();
        for (int thread = 0; thread < team.size(); thread++) {
          const float* part = reinterpret_cast<const float*>(team.scratch(thread, Work::bytes(a)));
          total += load(part + offset + j * padded(width) + i);
        }
        to.store(at + i, total, n);
      });
    }
  });
}

void attentionBackward(const Call& call) {
  const Attention a(call);
  const Gradients g{call.in(6), call.in(7), call.in(8), call.out(0), call.out(1), call.out(2)};
  Team& team = call.team;
  const int64_t keySums = a.keys * padded(a.e), valueSums = a.keys * padded(a.f);
  for (int64_t unit = 0; unit < a.batch * a.groups; unit++) {
    const int64_t row = unit / a.groups, group = unit % a.groups;
    team.run([&](int thread) {
      const Work work(a, team.scratch(thread, Work::bytes(a)));
      std::fill(work.dKeys, work.dKeys + keySums + valueSums, 0.0f);
      for (int64_t tile = 0; tile < a.tiles; tile++) {
        if (tileOwner(tile, team.size()) == thread) backwardTile(a, Tile(a, row, group, tile), g, work);
      }
    });
    reduce(a, team, row, group, g.dk, a.e, 0);
    reduce(a, team, row, group, g.dv, a.f, keySums);
  }
}

}  // namespace

void registerAttentionBackward(KernelTable& table) { table.emplace("attentionBackward", attentionBackward); }

}  // namespace braid::BRAID_VARIANT
