// Causal attention in blocks with a running maximum and sum (Dao et al. 2022, FlashAttention): no L × S matrix is stored.
#include "attentionProducts.hpp"
#include "math.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Work {
  float *queries, *scores, *sums, *maximum, *total, *factor;

  static int64_t floats(const Attention& a) {
    return (a.e + padded(a.f) + kKeys + 3) * kSlots;
  }

  Work(const Attention& a, Pieces& pieces)
      : queries(pieces.take(a.e * kSlots)),
        scores(pieces.take(kKeys * kSlots)),
        sums(pieces.take(padded(a.f) * kSlots)),
        maximum(pieces.take(kSlots)),
        total(pieces.take(kSlots)),
        factor(pieces.take(kSlots)) {}
};

// Turns scores (base 2) into weights relative to the new maximum, and says by what the older sums must be multiplied.
void weigh(const Tile& tile, const Work& work, int64_t firstKey, int64_t keys) {
  const f32x16 nothing = splat(-__builtin_inff());
  const bool whole = tile.whole(firstKey, keys);
  for (int64_t v = 0; v < tile.vectors; v++) {
    float* scores = work.scores + v * kWidth;
    const f32x16 before = load(work.maximum + v * kWidth);
    f32x16 top = before;
    for (int64_t j = 0; j < keys; j++) {
      f32x16 score = load(scores + j * kSlots);
      if (!whole) {
        score = select(seen(tile, firstKey + j, v), score, nothing);
        store(scores + j * kSlots, score);
      }
      top = max(top, score);
    }
    // A slot that has seen no key yet: any base will do, all its weights are zero.
    const f32x16 base = select(top == nothing, zero(), top);
    f32x16 sum = zero();
    for (int64_t j = 0; j < keys; j++) {
      const f32x16 weight = exp2(load(scores + j * kSlots) - base);
      store(scores + j * kSlots, weight);
      sum += weight;
    }
    const f32x16 factor = exp2(before - base);
    store(work.maximum + v * kWidth, top);
    store(work.factor + v * kWidth, factor);
    store(work.total + v * kWidth, load(work.total + v * kWidth) * factor + sum);
  }
}

void rescale(const Attention& a, const Tile& tile, const Work& work) {
  for (int64_t v = 0; v < tile.vectors; v++) {
    const f32x16 factor = load(work.factor + v * kWidth);
    for (int64_t i = 0; i < a.f; i++) {
      float* sums = work.sums + i * kSlots + v * kWidth;
      store(sums, load(sums) * factor);
    }
  }
}

void finish(const Attention& a, const Tile& tile, const Work& work, const Sink& out, float* logsumexp) {
  for (int64_t v = 0; v < tile.vectors; v++) {
    const f32x16 total = load(work.total + v * kWidth);
    store(work.factor + v * kWidth, select(total == 0.0f, zero(), 1.0f / total));
    store(work.maximum + v * kWidth, load(work.maximum + v * kWidth) * kLn2 + log(total));
  }
  if (out) unpackColumns(a, tile, work.sums, work.factor, a.f, out);
  if (!logsumexp) return;
  for (int64_t s = 0; s < tile.count; s++) {
    const int64_t slot = tile.begin + s, head = tile.group * a.ratio + slot % a.ratio;
    logsumexp[(tile.row * a.heads + head) * a.length + slot / a.ratio] = work.maximum[s];
  }
}

template <typename Products>
void forwardTile(const Attention& a, const Tile& tile, const Work& work, Products& products, const Sink& out,
                 float* logsumexp) {
  packColumns(a, tile, a.q, a.e, a.scale * kLog2e, work.queries);
  products.takeTile(tile, {work.queries, nullptr, nullptr, nullptr});
  std::fill(work.sums, work.sums + padded(a.f) * kSlots, 0.0f);
  std::fill(work.maximum, work.maximum + kSlots, -__builtin_inff());
  std::fill(work.total, work.total + kSlots, 0.0f);
  tile.forBlocks([&](int64_t first, int64_t keys) {
    products.takeBlock(first, keys);
    products.scores(work.scores);
    weigh(tile, work, first, keys);
    rescale(a, tile, work);
    products.addValues(work.scores, work.sums);
  });
  finish(a, tile, work, out, logsumexp);
}

template <typename Products>
void forward(const Attention& a, Team& team, const Sink& out, float* logsumexp) {
  const size_t bytes = static_cast<size_t>(Work::floats(a) + Products::floats(a, false)) * sizeof(float);
  team.run([&](int thread) {
    Pieces pieces(team.scratch(thread, bytes));
    const Work work(a, pieces);
    Products products(a, false, pieces);
    for (int64_t unit = 0; unit < a.batch * a.groups; unit++) {
      const int64_t row = unit / a.groups, group = unit % a.groups;
      bool taken = false;
      for (int64_t tile = 0; tile < a.tiles; tile++) {
        if (tileOwner(unit * a.tiles + tile, team.size()) != thread) continue;
        if (!taken) products.takeUnit(row, group);
        taken = true;
        forwardTile(a, Tile(a, row, group, tile), work, products, out, logsumexp);
      }
    }
  });
}

void attention(const Call& call) {
  const Attention a(call);
  float* logsumexp = call.outputCount > 1 ? call.out(1).as<float>() : nullptr;
  withProducts(a, call.team, [&](auto* kind) {
    forward<std::remove_pointer_t<decltype(kind)>>(a, call.team, call.out(0), logsumexp);
  });
}

}  // namespace

void registerAttention(KernelTable& table) { table.emplace("attention", attention); }

}  // namespace braid::BRAID_VARIANT
