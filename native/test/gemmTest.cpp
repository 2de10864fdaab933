// The matrix product against three nested loops in double precision.
#include <cmath>
#include <cstring>
#include <random>

#define BRAID_VARIANT portable
#include "../core/pool.hpp"
#include "../core/variants.hpp"
#include "../kernels/gemm.hpp"
#include "../kernels/vector.hpp"
#include "tests.hpp"

namespace braid::testing {
namespace {

// A matrix with room around it, so that strides differ from sizes and stray writes show.
struct Matrix {
  DType dtype;
  int64_t rows, columns, stride;
  std::vector<float> floats;
  std::vector<bfloat16> halves;

  Matrix(DType type, int64_t r, int64_t c, int64_t padding) : dtype(type), rows(r), columns(c), stride(c + padding) {
    floats.resize(static_cast<size_t>(rows * stride), kUntouched);
    if (dtype == DType::bfloat16) halves.resize(floats.size(), portable::narrow(kUntouched));
  }
  static constexpr float kUntouched = 12345.0f;

  void* data() { return dtype == DType::bfloat16 ? static_cast<void*>(halves.data()) : floats.data(); }
  float get(int64_t r, int64_t c) const {
    const size_t i = static_cast<size_t>(r * stride + c);
    return dtype == DType::bfloat16 ? portable::widen(halves[i]) : floats[i];
  }
  void set(int64_t r, int64_t c, float x) {
    const size_t i = static_cast<size_t>(r * stride + c);
    if (dtype == DType::bfloat16) {
      halves[i] = portable::narrow(x);
    } else {
      floats[i] = x;
    }
  }
  void fill(std::mt19937& random) {
    std::uniform_real_distribution<float> values(-1, 1);
    for (int64_t r = 0; r < rows; r++) {
      for (int64_t c = 0; c < columns; c++) set(r, c, values(random));
    }
  }
};

struct Case {
  int64_t m, n, k;
  bool transposeA, transposeB;
  DType a, b, c;
  bool extras, accumulate, serial;

  std::string name() const {
    char text[160];
    std::snprintf(text, sizeof text, "%ldx%ldx%ld %c%c %d%d%d%s%s%s", long(m), long(k), long(n), transposeA ? 'T' : 'N',
                  transposeB ? 'T' : 'N', int(a), int(b), int(c), extras ? " bias addend" : "",
                  accumulate ? " accumulate" : "", serial ? " serial" : "");
    return text;
  }
};

void checkCase(const Variant& variant, ThreadPool& pool, const Case& test) {
  std::mt19937 random(7);
  Matrix a(test.a, test.transposeA ? test.k : test.m, test.transposeA ? test.m : test.k, 3);
  Matrix b(test.b, test.transposeB ? test.n : test.k, test.transposeB ? test.k : test.n, 1);
  Matrix c(test.c, test.m, test.n, 5), before = c, bias(DType::float32, 1, test.n, 0),
      addend(DType::float32, test.m, test.n, 2);
  a.fill(random);
  b.fill(random);
  bias.fill(random);
  addend.fill(random);
  if (test.accumulate) c.fill(random);
  before = c;
  GemmArguments g{};
  g.m = test.m, g.n = test.n, g.k = test.k;
  g.a = {a.data(), test.a, a.stride, test.transposeA};
  g.b = {b.data(), test.b, b.stride, test.transposeB};
  g.c = c.data(), g.cType = test.c, g.cStride = c.stride, g.accumulate = test.accumulate;
  if (test.extras) g.bias = bias.floats.data(), g.addend = addend.floats.data(), g.addendStride = addend.stride;
  if (test.serial) {
    variant.gemmSerial(pool.everyone(), 0, g);
  } else {
    variant.gemm(pool.everyone(), g);
  }
  const double tolerance = 1e-6 * std::sqrt(static_cast<double>(test.k) + 1) * 4;
  double worst = 0;
  bool clean = true;
  // Of a large product some rows are looked at, among them the last.
  const int64_t step = test.m * test.n * test.k > 5'000'000 ? 13 : 1;
  for (int64_t i = (test.m - 1) % step; i < test.m; i += step) {
    for (int64_t j = 0; j < c.stride; j++) {
      if (j >= test.n) {
        clean &= c.get(i, j) == before.get(i, j);
        continue;
      }
      double sum = test.accumulate ? before.get(i, j) : 0;
      for (int64_t p = 0; p < test.k; p++) {
        sum += static_cast<double>(test.transposeA ? a.get(p, i) : a.get(i, p)) *
               static_cast<double>(test.transposeB ? b.get(j, p) : b.get(p, j));
      }
      if (test.extras) sum += static_cast<double>(bias.get(0, j)) + static_cast<double>(addend.get(i, j));
      const double rounding = test.c == DType::bfloat16 ? std::fabs(sum) / 250 : 0;
      const double error = std::fabs(c.get(i, j) - sum) - rounding;
      worst = std::isfinite(error) ? std::max(worst, error) : 1e9;
    }
  }
  check(worst <= tolerance && clean, std::string(variant.name) + " gemm " + test.name() + ": error " +
                                         std::to_string(worst) + (clean ? "" : ", wrote beside the result"));
}

}  // namespace

void testGemm() {
  const int64_t sizes[][3] = {{1, 1, 1},    {1, 50, 33},  {2, 17, 65},   {5, 16, 31},   {16, 40, 70},  {17, 33, 1},
                              {29, 31, 64}, {64, 65, 63}, {15, 100, 129}, {90, 14, 200}, {130, 200, 77}, {33, 70, 1300}};
  const DType f = DType::float32, h = DType::bfloat16;
  const DType types[][3] = {{f, f, f}, {h, h, f}, {h, h, h}, {f, f, h}, {f, h, f}, {h, f, f}};
  for (const Variant& variant : variants()) {
    if (!variant.supported) continue;
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads, variant.tiles);
      for (const auto& [m, n, k] : sizes) {
        for (int t = 0; t < 6; t++) {
          const auto& [a, b, c] = types[t];
          const bool extras = (m + t) % 2 == 0;
          const bool accumulate = c == f && t % 3 == 0;
          checkCase(variant, pool, {m, n, k, false, true, a, b, c, extras, accumulate, threads == 1});
          checkCase(variant, pool, {m, n, k, false, false, a, b, c, extras, accumulate, threads == 1});
          checkCase(variant, pool, {m, n, k, true, false, a, b, c, extras, accumulate, threads == 1});
        }
      }
      checkCase(variant, pool, {3, 5, 0, false, true, f, f, f, true, false, false});
      // Few columns, some of which end in the first register of a panel, and pieces of rows that end within a panel.
      for (const int64_t n : {48, 97}) {
        for (const auto& [a, b, c] : types) {
          checkCase(variant, pool, {303, n, 416, false, false, a, b, c, false, c == f, false});
          checkCase(variant, pool, {303, n, 416, true, false, a, b, c, n == 48, false, false});
        }
      }
      // More than the threads pack at a time: of b with all of its columns, and of a with few rows.
      if (threads != 2) continue;
      for (const DType type : {f, h}) {
        checkCase(variant, pool, {230, 611, type == h ? 6300 : 3300, false, true, type, type, f, true, false, false});
        checkCase(variant, pool, {97, 131, type == h ? 45000 : 22000, true, false, type, type, f, false, true, false});
      }
    }
  }
}

}  // namespace braid::testing
