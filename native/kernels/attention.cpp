// Causal attention in blocks with running sums (Dao et al. 2022, FlashAttention): no L × S matrix is stored.
#include "attentionForwardFloat.hpp"
#include "attentionForwardPairs.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// The tiles of all key-value heads, dealt to threads, in one of the two kinds.
template <typename Kind>
void forward(const Attention& a, Team& team, const Sink& out, float* logsumexp) {
  const size_t bytes = static_cast<size_t>(Kind::floats(a)) * sizeof(float);
  team.run([&](int thread) {
    Pieces pieces(team.scratch(thread, bytes));
    Kind kind(a, pieces);
    for (int64_t unit = 0; unit < a.batch * a.groups; unit++) {
      const int64_t row = unit / a.groups, group = unit % a.groups;
      bool taken = false;
      for (int64_t index = 0; index < a.tiles; index++) {
        if (tileOwner(unit * a.tiles + index, team.size()) != thread) continue;
        if (!taken) kind.takeUnit(row, group);
        taken = true;
        const Tile tile(a, row, group, index);
        kind.attend(tile);
        kind.finish(tile, out, logsumexp);
      }
    }
  });
}

void attention(const Call& call) {
  const Attention a(call);
  float* logsumexp = call.outputCount > 1 ? call.out(1).as<float>() : nullptr;
#if defined(BRAID_HAS_TILES)
  if (a.inPairs(call.team)) return forward<PairForward>(a, call.team, call.out(0), logsumexp);
#endif
  forward<FloatForward>(a, call.team, call.out(0), logsumexp);
}

}  // namespace

void registerAttention(KernelTable& table) { table.emplace("attention", attention); }

}  // namespace braid::BRAID_VARIANT
