// Work space of the gradients of the scan of Mamba-2 on the matrix unit.
#pragma once
#include "ssdBackward.hpp"
#include "ssdTile.hpp"

#if defined(BRAID_HAS_TILES)

namespace braid::BRAID_VARIANT {

// Heads whose shares of dB and dC through the states are made in one product, their numbers side by side in its depth.
constexpr int64_t kTileHeads = 4;

struct BackwardTileWork {
  ChunkSteps chunkSteps;
  HeadSteps steps;
  // Of a group. Pairs of positions are [positions / 2, N], pairs of states [N / 2, positions].
  bfloat16 *b, *c, *cColumns;                  // [positions, N]; [N, positions]
  float *cWords, *bPairs, *cPairs;
  float *scores, *dScores;                     // [from, to]
  bfloat16 *dScoreRows, *dScoreColumns;        // [from, to]; [to, from]
  float *dB, *dC;                              // [positions, N]
  // Of a head.
  bfloat16 *x, *dy;                            // [positions, P]
  float *dyWords, *dyPairs, *dyEntered;        // pairs [P / 2, positions]; pairs [positions / 2, P], as dy and times `enter`
  bfloat16 *stateRows, *dStateRows;            // [P, N]; [N, P]
  float *enteredWords, *dStatePairs;           // pairs [N / 2, P] of the entering states and the gradient of the leaving ones
  bfloat16* weights;                           // [from of a strip, to]
  float *slopes, *dInput;                      // the same; [from of a strip, P]
  float *dStates;                              // [heads, N, P]
  // Of kTileHeads heads.
  bfloat16 *dyRows, *inputRows;                // [positions, heads · P]: dy · enter, and Δx · leave
  float *statePairs, *dStateWords;             // pairs [heads · P / 2, N]
  // Rows of positions.
  float *near, *columns, *to, *from, *through, *inside, *entering, *leaving, *dDelta, *factors;
  float* dDt;                                  // [heads, positions]

  static size_t bytes(const Ssd& s) {
    const TileSizes z(s);
    const int64_t n = z.positions, state = z.stateSize();
    const int64_t halves = n * (3 * z.states + 2 * n + 2 * z.width + kTileStrip + 2 * kTileHeads * z.width) + 2 * state;
    const int64_t floats = n * (7 * z.states / 2 + 2 * n + 3 * z.width / 2 + kTileStrip + 10 + s.perGroup) +
                           kTileStrip * z.width + (1 + kTileHeads + s.perGroup) * state;
    return static_cast<size_t>(floats + halves / 2 + ChunkSteps::floats(s) + HeadSteps::floats(s)) * sizeof(float);
  }
  BackwardTileWork(const Ssd& s, const TileSizes& z, Pieces pieces)
      : chunkSteps(s, pieces), steps(s, pieces) {
    takeGroup(z, pieces);
    takeHead(s, z, pieces);
    takeLines(s, z, pieces);
  }

  int64_t stride(const TileSizes& z) const { return kTileHeads * z.width; }

 private:
  void takeGroup(const TileSizes& z, Pieces& pieces) {
    const int64_t n = z.positions;
    for (bfloat16** piece : {&b, &c, &cColumns}) *piece = takeHalves(pieces, n * z.states);
    for (float** piece : {&cWords, &bPairs, &cPairs}) *piece = pieces.take(n * z.states / 2);
    for (float** piece : {&scores, &dScores}) *piece = pieces.take(n * n);
    for (bfloat16** piece : {&dScoreRows, &dScoreColumns}) *piece = takeHalves(pieces, n * n);
    for (float** piece : {&dB, &dC}) *piece = pieces.take(n * z.states);
  }
  void takeHead(const Ssd& s, const TileSizes& z, Pieces& pieces) {
    const int64_t n = z.positions, state = z.stateSize();
    for (bfloat16** piece : {&x, &dy}) *piece = takeHalves(pieces, n * z.width);
    for (float** piece : {&dyWords, &dyPairs, &dyEntered}) *piece = pieces.take(n * z.width / 2);
    for (bfloat16** piece : {&stateRows, &dStateRows}) *piece = takeHalves(pieces, state);
    for (float** piece : {&enteredWords, &dStatePairs}) *piece = pieces.take(state / 2);
    weights = takeHalves(pieces, kTileStrip * n);
    slopes = pieces.take(kTileStrip * n);
    dInput = pieces.take(kTileStrip * z.width);
    dStates = pieces.take(s.perGroup * state);
    for (bfloat16** piece : {&dyRows, &inputRows}) *piece = takeHalves(pieces, n * stride(z));
    for (float** piece : {&statePairs, &dStateWords}) *piece = pieces.take(kTileHeads * state / 2);
  }
  void takeLines(const Ssd& s, const TileSizes& z, Pieces& pieces) {
    for (float** piece : {&near, &columns, &to, &from, &through, &inside, &entering, &leaving, &dDelta, &factors}) {
      *piece = pieces.take(z.positions);
    }
    dDt = pieces.take(s.perGroup * z.positions);
  }
};

// A share of the work, on the calling thread; there must be a gradient of the output.
void ssdBackwardOnTiles(const Ssd& s, const SsdGradients& g, std::byte* memory, const Share& share);

}  // namespace braid::BRAID_VARIANT

#endif
