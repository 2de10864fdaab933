// The gates of the real-gated linear recurrent unit, the operation `gatedDecay` of docs/operations.md, and its gradient.
// The decay is e^l with l ≤ 0 close to 0; e^l − 1 is computed as such, so that √(1 − a²) keeps its digits.
#include "history.hpp"
#include "math.hpp"
#include "operand.hpp"
#include "pieces.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr float kPower = 8.0f;
// Where the slope of the root stops growing; see src/ops/gatedDecay.ts.
constexpr float kLeastShare = 1.0f / 2000.0f;

struct Gates {
  Source r, i, x;
  const float* lambda;
  History history;
  const int32_t* used;
  int64_t rows, width;

  explicit Gates(const Call& call)
      : r(call.in(0)),
        i(call.in(1)),
        x(call.in(2)),
        lambda(call.in(3).as<const float>()),
        history(call, 4, 5),
        used(optional(call, 6).as<const int32_t>()),
        rows(history.batch * history.length),
        width(call.in(0).shape[2]) {}

  // Whether nothing of the document of this token stands before it.
  bool first(int64_t token) const {
    const int64_t row = token / history.length, t = token % history.length;
    return (t == 0 && !(used && used[row] != 0)) || history.startsAfresh(row, t);
  }

  // 8 · softplus(Λ): the most that a feature forgets in one step, as the negative logarithm of its decay.
  void speeds(float* speed) const {
    forVectors(0, width, [&](int64_t c, int64_t n) {
      storeLanes(speed + c, softplus(loadLanes(lambda + c, n)) * kPower, n);
    });
  }
};

struct Gate {
  f32x16 keep, enter, a, share;

  Gate(const Gates& g, const float* speed, int64_t at, int64_t c, int64_t n, bool first) {
    keep = sigmoid(g.r.load(at + c, n));
    enter = sigmoid(g.i.load(at + c, n));
    const f32x16 logA = -(keep * loadLanes(speed + c, n));
    a = exp(logA);
    const f32x16 e = expm1(logA);
    share = first ? splat(1.0f) : squareRoot(-(e * (e + 2.0f)));
  }
};

size_t scratchBytes(int64_t width, int64_t pieces) {
  return static_cast<size_t>(pieces * padded(width)) * sizeof(float);
}

void gatedDecay(const Call& call) {
  const Gates gates(call);
  const Sink a = call.out(0), y = call.out(1);
  Team& team = call.team;
  team.run([&](int thread) {
    float* speed = Pieces(team.scratch(thread, scratchBytes(gates.width, 1))).take(gates.width);
    gates.speeds(speed);
    const int64_t end = gates.rows * (thread + 1) / team.size();
    for (int64_t token = gates.rows * thread / team.size(); token < end; token++) {
      const bool first = gates.first(token);
      const int64_t at = token * gates.width;
      forVectors(0, gates.width, [&](int64_t c, int64_t n) {
        const Gate gate(gates, speed, at, c, n, first);
        if (a) a.store(at + c, gate.a, n);
        if (y) y.store(at + c, gate.share * gate.enter * gates.x.load(at + c, n), n);
      });
    }
  });
}

// Every thread sums the gradient of Λ over its own tokens; the sums are added in the order of the threads.
void gatedDecayBackward(const Call& call) {
  const Gates gates(call);
  const Source da = optional(call, 7), dy = optional(call, 8);
  const Sink dr = call.out(0), di = call.out(1), dx = call.out(2), dLambda = call.out(3);
  Team& team = call.team;
  const int64_t width = gates.width;
  const size_t bytes = scratchBytes(width, 2);
  team.run([&](int thread) {
    Pieces pieces(team.scratch(thread, bytes));
    float *slope = pieces.take(width), *speed = pieces.take(width);
    for (int64_t c = 0; c < width; c += kWidth) store(slope + c, zero());
    gates.speeds(speed);
    const int64_t end = gates.rows * (thread + 1) / team.size();
    for (int64_t token = gates.rows * thread / team.size(); token < end; token++) {
      const bool first = gates.first(token);
      const int64_t at = token * width;
      forVectors(0, width, [&](int64_t c, int64_t n) {
        const Gate gate(gates, speed, at, c, n, first);
        const f32x16 entering = dy ? dy.load(at + c, n) : zero();
        const f32x16 x = gates.x.load(at + c, n);
        const f32x16 shared = entering * gate.enter;
        if (dx) dx.store(at + c, shared * gate.share, n);
        if (di) di.store(at + c, shared * gate.share * x * (1.0f - gate.enter), n);
        f32x16 dLogA = da ? da.load(at + c, n) * gate.a : zero();
        if (!first) dLogA = dLogA - shared * x * gate.a * gate.a / max(gate.share, splat(kLeastShare));
        const f32x16 pull = -(dLogA * gate.keep);
        if (dr) dr.store(at + c, pull * loadLanes(speed + c, n) * (1.0f - gate.keep), n);
        store(slope + c, load(slope + c) + pull);
      });
    }
  });
  if (!dLambda) return;
  forVectors(0, width, [&](int64_t c, int64_t n) {
    f32x16 total = zero();
    for (int thread = 0; thread < team.size(); thread++) {
      total += load(reinterpret_cast<const float*>(team.scratch(thread, bytes)) + c);
    }
    dLambda.store(c, total * sigmoid(loadLanes(gates.lambda + c, n)) * kPower, n);
  });
}

}  // namespace

void registerGatedDecay(KernelTable& table) {
  table.emplace("gatedDecay", gatedDecay);
  table.emplace("gatedDecayBackward", gatedDecayBackward);
}

}  // namespace braid::BRAID_VARIANT
