// Speed of the matrix product at the sizes of a 135M model: best of several runs. With one thread its CPU time is
// counted, which a busy machine disturbs less than the time on the clock.
#include <algorithm>
#include <ctime>
#include <thread>

#define BRAID_VARIANT portable
#include "../core/denormals.hpp"
#include "../core/pool.hpp"
#include "../core/variants.hpp"
#include "../kernels/gemm.hpp"
#include "../kernels/vector.hpp"
#include "tests.hpp"

namespace braid::testing {
namespace {

struct Shape {
  const char* what;
  int64_t m, k, n;
  bool transposeA, transposeB;
  int64_t padding = 0;  // of the rows of c
};

constexpr Shape kShapes[] = {
    {"projection", 2048, 768, 2048, false, true},   {"square", 2048, 2048, 2048, false, true},
    {"head", 2048, 768, 65536, false, true},        {"logits, 1024", 1024, 768, 65536, false, true, 16},
    {"dx", 2048, 2048, 768, false, false},          {"dw", 2048, 2048, 768, true, false},
    {"logits dx, 1024", 1024, 65536, 768, false, false}, {"logits dw, 1024", 65536, 1024, 768, true, false},
    {"mlp down", 2048, 1088, 768, false, true},     {"1 row", 1, 768, 65536, false, true},
    {"8 rows", 8, 768, 65536, false, true},         {"1 row, small", 1, 768, 2048, false, true},
    {"64 rows", 64, 768, 2048, false, true},        {"128 rows", 128, 768, 2048, false, true},
};

// Small numbers of both signs; a generator as plain as that takes less time than the products.
Memory randomMatrix(int64_t count, DType dtype) {
  Memory memory(static_cast<size_t>(count) * byteSize(dtype));
  uint32_t state = 1;
  for (int64_t i = 0; i < count; i++) {
    state = state * 1664525 + 1013904223;
    const float x = static_cast<float>(static_cast<int32_t>(state)) / 2147483648.0f;
    if (dtype == DType::bfloat16) {
      reinterpret_cast<bfloat16*>(memory.data())[i] = portable::narrow(x);
    } else {
      reinterpret_cast<float*>(memory.data())[i] = x;
    }
  }
  return memory;
}

double now(bool cpuTime) {
  timespec t;
  clock_gettime(cpuTime ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double measure(const Variant& variant, Team& team, const Shape& s, DType dtype) {
  const Memory a = randomMatrix(s.m * s.k, dtype), b = randomMatrix(s.k * s.n, dtype);
  const Memory c(static_cast<size_t>(s.m * (s.n + s.padding)) * sizeof(float));
  GemmArguments g{};
  g.m = s.m, g.n = s.n, g.k = s.k;
  g.a = {a.data(), dtype, s.transposeA ? s.m : s.k, s.transposeA};
  g.b = {b.data(), dtype, s.transposeB ? s.k : s.n, s.transposeB};
  g.c = c.data(), g.cType = DType::float32, g.cStride = s.n + s.padding;
  double best = 1e30, spent = 0;
  for (int run = 0; run < 3 || (spent < 0.4 && run < 2000); run++) {
    const double begin = now(team.size() == 1);
    variant.gemm(team, g);
    const double seconds = now(team.size() == 1) - begin;
    best = std::min(best, seconds);
    spent += seconds;
  }
  return best;
}

}  // namespace

int bench(const std::vector<std::string>& arguments) {
  const Variant& variant = chooseVariant(arguments.empty() ? "" : arguments[0]);
  const int threads = arguments.size() > 1 ? std::stoi(arguments[1]) : static_cast<int>(std::thread::hardware_concurrency());
  ThreadPool pool(threads, variant.tiles);
  const DenormalsAreZero denormalsAreZero;
  std::printf("%s, %d threads: m x k x n, GFLOP/s\n", variant.name, threads);
  for (const Shape& shape : kShapes) {
    if (arguments.size() > 2 && arguments[2] != shape.what) continue;
    const double flops = 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.k) * static_cast<double>(shape.n);
    const double half = measure(variant, pool.everyone(), shape, DType::bfloat16);
    const double full = measure(variant, pool.everyone(), shape, DType::float32);
    std::printf("%-18s %5ld x %5ld x %5ld %c%c  bf16 %6.0f  f32 %6.0f\n", shape.what, long(shape.m), long(shape.k), long(shape.n),
                shape.transposeA ? 'T' : 'N', shape.transposeB ? 'T' : 'N', flops / half / 1e9, flops / full / 1e9);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace braid::testing
