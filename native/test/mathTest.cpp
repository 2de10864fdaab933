// Elementary functions against double precision, in units in the last place. Compiled for one instruction set: the portable
// one; the others run the same formulas.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#define BRAID_VARIANT portable
#include "../kernels/math.hpp"
#include "tests.hpp"

namespace braid::testing {
namespace {

using portable::f32x16;

template <typename Fast, typename Exact>
void checkUlp(const char* name, float low, float high, double allowed, const Fast& fast, const Exact& exact) {
  constexpr int kPoints = 200000;
  double worst = 0, at = 0;
  for (int i = 0; i < kPoints; i += 16) {
    float x[16], y[16];
    for (int j = 0; j < 16; j++) x[j] = low + (high - low) * static_cast<float>(i + j) / kPoints;
    portable::store(y, fast(portable::load(x)));
    for (int j = 0; j < 16; j++) {
      const double expected = exact(static_cast<double>(x[j]));
      if (std::fabs(expected) < 1.2e-38) continue;
      int exponent = 0;
      std::frexp(static_cast<float>(expected), &exponent);
      const double error = std::fabs(y[j] - expected) / std::ldexp(1.0, exponent - 24);
      if (!(error <= worst)) worst = error, at = x[j];
    }
  }
  check(worst <= allowed, std::string(name) + ": " + std::to_string(worst) + " ulp at " + std::to_string(at));
}

void special() {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const float in[16] = {nan, inf, -inf, -200, 200, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  float out[16];
  portable::store(out, portable::exp(portable::load(in)));
  check(std::isnan(out[0]) && out[1] == inf && out[2] == 0 && out[3] == 0 && out[4] == inf && out[5] == 1, "exp at the ends");
  portable::store(out, portable::log(portable::load(in)));
  check(std::isnan(out[0]) && out[1] == inf && std::isnan(out[3]) && out[5] == -inf && out[6] == 0, "log at the ends");
  portable::store(out, portable::tanh(portable::load(in)));
  check(std::isnan(out[0]) && out[1] == 1 && out[2] == -1 && out[5] == 0, "tanh at the ends");
  portable::store(out, portable::softplus(portable::load(in)));
  check(std::isnan(out[0]) && out[1] == inf && out[3] == 0 && out[4] == 200, "softplus at the ends");
  portable::store(out, portable::sigmoid(portable::load(in)));
  check(std::isnan(out[0]) && out[1] == 1 && out[2] == 0 && out[5] == 0.5f, "sigmoid at the ends");
}

void bfloat16Rounding() {
  std::mt19937 random(3);
  for (int i = 0; i < 100000; i++) {
    const uint32_t bits = static_cast<uint32_t>(random());
    float x;
    std::memcpy(&x, &bits, 4);
    bfloat16 vector[16];
    portable::store(vector, portable::splat(x));
    const float back = portable::widen(vector[3]);
    // The two neighbours: the bits cut off, and one step further from zero.
    const float down = portable::widen({static_cast<uint16_t>(bits >> 16)});
    const float up = portable::widen({static_cast<uint16_t>((bits >> 16) + 1)});
    const double below = std::fabs(double(x) - double(down)), above = std::fabs(double(up) - double(x));
    const bool odd = (bits >> 16) & 1;
    const bool right = std::isnan(x)               ? std::isnan(back)
                       : !std::isfinite(up)        ? back == down || std::isinf(back)
                       : below < above || (below == above && !odd) ? back == down
                                                                   : back == up;
    if (!check(right && vector[3].bits == portable::narrow(x).bits, "rounding of " + std::to_string(x))) return;
  }
}

void parts() {
  float in[16], out[16];
  for (int i = 0; i < 16; i++) in[i] = static_cast<float>(i + 1);
  for (int n = 0; n <= 16; n++) {
    std::fill(out, out + 16, -1.0f);
    portable::storePartial(out, portable::loadPartial(in, n) + portable::splat(0.5f), n);
    bool fine = true;
    for (int i = 0; i < 16; i++) fine &= out[i] == (i < n ? in[i] + 0.5f : -1.0f);
    check(fine, "partial load and store of " + std::to_string(n));
  }
  check(portable::sum(portable::load(in)) == 136 && portable::maximum(portable::load(in)) == 16, "horizontal");
}

}  // namespace

void testMath() {
  using namespace portable;
  checkUlp("exp", -87.3f, 88.7f, 1.1, [](const f32x16& x) { return exp(x); }, [](double x) { return std::exp(x); });
  checkUlp("expm1", -20, 0.5f, 4, [](const f32x16& x) { return expm1(x); }, [](double x) { return std::expm1(x); });
  checkUlp("exp2", -126.0f, 127.0f, 1.2, [](const f32x16& x) { return exp2(x); }, [](double x) { return std::exp2(x); });
  checkUlp("log", 1e-6f, 4, 2, [](const f32x16& x) { return log(x); }, [](double x) { return std::log(x); });
  checkUlp("log1p", 0, 1, 3, [](const f32x16& x) { return log1p(x); }, [](double x) { return std::log1p(x); });
  checkUlp("sigmoid", -87, 30, 3, [](const f32x16& x) { return sigmoid(x); },
           [](double x) { return 1 / (1 + std::exp(-x)); });
  checkUlp("silu", -87, 30, 3, [](const f32x16& x) { return silu(x); }, [](double x) { return x / (1 + std::exp(-x)); });
  checkUlp("logistic", -87, 30, 3, [](const f32x16& x) { return logistic(x); },
           [](double x) { return 1 / (1 + std::exp(-x)); });
  checkUlp("exp2Product", 0, 126, 1.2, [](const f32x16& x) { return exp2Product(x, splat(-1.0f)); },
           [](double x) { return std::exp2(-x); });
  checkUlp("softplus", -87, 30, 4, [](const f32x16& x) { return softplus(x); },
           [](double x) { return std::log1p(std::exp(x)); });
  const auto slope = [](const f32x16& x) {
    f32x16 found;
    softplus(x, found);
    return found;
  };
  checkUlp("slope of softplus", -87, 30, 3, slope, [](double x) { return 1 / (1 + std::exp(-x)); });
  checkUlp("tanh", -12, 12, 3, [](const f32x16& x) { return tanh(x); }, [](double x) { return std::tanh(x); });
  const auto half = [](double x) { return 0.5 * std::erfc(-x); };
  checkUlp("halfErfPlusOne", 0, 6, 2, [](const f32x16& x) { return halfErfPlusOne(x); }, half);
  checkUlp("halfErfPlusOne below 0", -5, 0, 20, [](const f32x16& x) { return halfErfPlusOne(x); }, half);
  special();
  bfloat16Rounding();
  parts();
}

}  // namespace braid::testing
