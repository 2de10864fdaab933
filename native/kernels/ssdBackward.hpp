// Operands and work space of the backward pass of the scan of Mamba-2.
#pragma once
#include "ssd.hpp"

namespace braid::BRAID_VARIANT {

// Gradients of a head's parameters in one row of the batch.
struct HeadSums {
  float aLog, d, dtBias;
};

struct SsdGradients {
  Source checkpoints, dy, dNext;
  Sink dx, dDt, dState;
  HeadSums* sums;      // [B, H]
  float *dB, *dC;      // [parts, B, L, G, N]: where a group's heads are cut into parts, each has sums of its own
  int64_t rowsOfPart;  // numbers of one part

  explicit SsdGradients(const Call& call)
      : checkpoints(call.in(10)),
        dy(optional(call, 11)),
        dNext(optional(call, 12)),
        dx(call.out(0)),
        dDt(call.out(1)),
        dState(call.out(7)),
        sums(reinterpret_cast<HeadSums*>(call.workspace)),
        dB(nullptr),
        dC(nullptr),
        rowsOfPart(0) {}
};

struct BackwardWork {
  bool hasDy;
  float *b, *c, *dB, *dC, *rows;              // [positions, N]
  float* bColumns;                            // [N, positions]
  float *scores, *weights, *slopes, *dScores;  // [to, from]
  float *x, *input, *dInput, *dy, *dyEntered;  // [P, positions]
  float* entered;                             // [P, N]
  float *lines, *crossing, *steps;            // rows of positions
  float* dStates;                             // [heads, P, N]

  static size_t bytes(const Ssd& s) {
    const int64_t floats = s.positions * (5 * s.row + s.states + 4 * s.positions + 5 * s.width + 5) + Decays::floats(s) +
                           (s.perGroup + 1) * s.stateSize() + 32 * kWidth;
    return static_cast<size_t>(floats) * sizeof(float);
  }
  BackwardWork(const Ssd& s, bool hasDy, std::byte* memory) : hasDy(hasDy) {
    Pieces pieces(memory);
    for (float** piece : {&b, &c, &dB, &dC, &rows}) *piece = pieces.take(s.positions * s.row);
    bColumns = pieces.take(s.positions * s.states);
    for (float** piece : {&scores, &weights, &slopes, &dScores}) *piece = pieces.take(s.positions * s.positions);
    for (float** piece : {&x, &input, &dInput, &dy, &dyEntered}) *piece = pieces.take(s.positions * s.width);
    entered = pieces.take(s.stateSize());
    lines = pieces.take(4 * s.positions);
    crossing = pieces.take(s.positions);
    steps = pieces.take(Decays::floats(s));
    dStates = pieces.take(s.perGroup * s.stateSize());
  }
};

}  // namespace braid::BRAID_VARIANT
