// Rotary position embedding (Su et al. 2021), in the layout that turns the pairs (i, i + D/2).
#include <algorithm>
#include <cmath>

#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr double kTurn = 6.283185307179586476925;

// What the frequency of a pair is multiplied by, where a model reads longer sequences than it was trained on: 1 / factor,
// or, as in Llama 3, by how often the pair turns in the length it was trained on.
class Scaling {
 public:
  explicit Scaling(const Attributes& attributes) {
    if (!attributes.has("factor")) return;
    least_ = 1.0 / attributes.number("factor");
    if (!attributes.has("lowFactor")) return;
    low_ = attributes.number("lowFactor");
    high_ = attributes.number("highFactor");
    length_ = attributes.number("originalLength");
  }

  double of(double turnsPerPosition) const {
    if (length_ == 0) return least_;
    const double kept = std::clamp((length_ * turnsPerPosition - low_) / (high_ - low_), 0.0, 1.0);
    return kept + (1.0 - kept) * least_;
  }

 private:
  double least_ = 1, low_ = 0, high_ = 0, length_ = 0;
};

// Sine and cosine of 2π·x for |x| ≤ ½, 2⁻²³ off at most: by the nearest quarter of a turn, with Cephes' polynomials for
// |angle| ≤ π/4.
inline void sineAndCosine(const f32x16& x, f32x16& sine, f32x16& cosine) {
  const f32x16 magic = splat(12582912.0f);  // 1.5 · 2²³: adding it rounds to an integer, in its low bits
  const f32x16 sum = x * 4.0f + magic;
  const f32x16 angle = (x - (sum - magic) * 0.25f) * 6.28318530717958648f;
  const i32x16 quarter = asInt(sum);
  const f32x16 z = angle * angle;
  const f32x16 s = ((z * -1.9515295891e-4f + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * angle + angle;
  const f32x16 c = ((z * 2.443315711809948e-5f - 1.388731625493765e-3f) * z + 4.166664568298827e-2f) * z * z - z * 0.5f + 1.0f;
  const i32x16 odd = (quarter & 1) != 0;
  const i32x16 sineSign = (quarter & 2) << 30, cosineSign = ((quarter + 1) & 2) << 30;
  sine = asFloat(asInt(select(odd, c, s)) ^ sineSign);
  cosine = asFloat(asInt(select(odd, s, c)) ^ cosineSign);
}

void rope(const Call& call) {
  const Tensor& shape = call.in(0);
  const Source x = shape;
  const Sink y = call.out(0);
  if (!y) return;
  const int64_t positions = shape.shape[0] * shape.shape[1], heads = shape.shape[2], width = shape.shape[3];
  const int64_t rotated = call.attributes.has("dimensions") ? call.attributes.integer("dimensions") : width;
  const int64_t half = rotated / 2, padded = (half + kWidth - 1) / kWidth * kWidth;
  const double theta = call.attributes.number("theta");
  const Scaling scaling(call.attributes);
  const float direction = call.attributes.flagOr("inverse", false) ? -1.0f : 1.0f;
  const int32_t* position = call.in(1).as<const int32_t>();
  const int32_t* document = optional(call, 2).as<const int32_t>();

  Team& team = call.team;
  const size_t bytes = static_cast<size_t>(padded) * (sizeof(double) + 2 * sizeof(float));
  team.split(positions, rowGrain(heads * width), [&](int64_t begin, int64_t end, int thread) {
    double* turns = reinterpret_cast<double*>(team.scratch(thread, bytes));  // turns per position of every pair
    float* cosine = reinterpret_cast<float*>(turns + padded);
    float* sine = cosine + padded;
    std::fill(turns + half, turns + padded, 0.0);
    for (int64_t i = 0; i < half; i++) {
      const double turn = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotated)) / kTurn;
      turns[i] = turn * scaling.of(turn);
    }
    for (int64_t p = begin; p < end; p++) {
      const double place = position[p] - (document ? document[p] : 0);
      // Whole turns are taken off in double precision; what is left is exact enough for a float sine.
      for (int64_t i = 0; i < padded; i++) {
        const double angle = place * turns[i];
        sine[i] = static_cast<float>(angle - std::nearbyint(angle));
      }
      for (int64_t i = 0; i < padded; i += kWidth) {
        f32x16 s, c;
        sineAndCosine(load(sine + i), s, c);
        store(cosine + i, c);
        store(sine + i, s * direction);
      }
      for (int64_t head = 0; head < heads; head++) {
        const int64_t at = (p * heads + head) * width;
        forVectors(0, half, [&](int64_t i, int64_t n) {
          const f32x16 a = x.load(at + i, n), b = x.load(at + half + i, n);
          const f32x16 c = load(cosine + i), s = load(sine + i);
          y.store(at + i, a * c - b * s, n);
          y.store(at + half + i, b * c + a * s, n);
        });
        forVectors(rotated, width, [&](int64_t i, int64_t n) { y.store(at + i, x.load(at + i, n), n); });
      }
    }
  });
}

}  // namespace

void registerRope(KernelTable& table) { table.emplace("rope", rope); }

}  // namespace braid::BRAID_VARIANT
