// Causal attention in blocks with running sums (Dao et al. 2022, FlashAttention): no L × S matrix is stored.
#include <vector>

#include "attentionForwardFloat.hpp"
#include "attentionForwardPairs.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// The tiles of all units, key-value heads of a row, in pieces: whole units, for their keys are then laid out once, and the last
// ones in parts, so that no thread has a whole one left to do when the others are done.
class ForwardPieces {
 public:
  ForwardPieces(const Attention& a, int64_t threads)
      : units_(a.batch * a.groups),
        whole_(threads == 1 ? units_ : std::max<int64_t>(0, units_ - 2 * threads)),
        parts_(std::min(a.tiles, std::max<int64_t>(4, whole_ < units_ ? 8 * threads / (units_ - whole_) : 0))) {}

  int64_t count() const { return whole_ + (units_ - whole_) * parts_; }
  int64_t parts(int64_t piece) const { return piece < whole_ ? 1 : parts_; }
  int64_t part(int64_t piece) const { return piece < whole_ ? 0 : (piece - whole_) % parts_; }
  int64_t unit(int64_t piece) const { return piece < whole_ ? piece : whole_ + (piece - whole_) / parts_; }

 private:
  int64_t units_, whole_, parts_;
};

// In one of the two kinds.
template <typename Kind>
void forward(const Attention& a, Team& team, const Sink& out, float* logsumexp) {
  const size_t bytes = static_cast<size_t>(Kind::floats(a)) * sizeof(float);
  const ForwardPieces pieces(a, team.size());
  std::vector<int64_t> held(static_cast<size_t>(team.size()), -1);  // the unit whose keys stand in a thread's memory
  team.share(pieces.count(), 1, [&](int64_t piece, int64_t, int thread) {
    Pieces memory(team.scratch(thread, bytes));
    Kind kind(a, memory);
    const int64_t unit = pieces.unit(piece);
    int64_t& own = held[static_cast<size_t>(thread)];
    if (own != unit) kind.takeUnit(unit / a.groups, unit % a.groups);
    own = unit;
    forTiles(
        a, unit, pieces.part(piece), pieces.parts(piece), [&](const Tile& next) { next.fetch(a.q, a.e); },
        [&](const Tile& tile) {
          kind.attend(tile);
          kind.finish(tile, out, logsumexp);
        });
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
