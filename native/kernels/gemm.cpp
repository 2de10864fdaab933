#include "gemm.hpp"

#include "vector.hpp"

namespace braid::BRAID_VARIANT {
namespace {

float at(const GemmOperand& o, int64_t row, int64_t column) {
  const int64_t i = o.transposed ? column * o.stride + row : row * o.stride + column;
  return o.dtype == DType::bfloat16 ? widen(static_cast<const bfloat16*>(o.data)[i])
                                    : static_cast<const float*>(o.data)[i];
}

void rows(const GemmArguments& g, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    for (int64_t j = 0; j < g.n; j++) {
      float s = 0;
      for (int64_t p = 0; p < g.k; p++) s += at(g.a, i, p) * at(g.b, p, j);
      if (g.bias) s += g.bias[j];
      if (g.addend) s += g.addend[i * g.addendStride + j];
      if (g.cType == DType::bfloat16) {
        static_cast<bfloat16*>(g.c)[i * g.cStride + j] = narrow(s);
      } else {
        float* c = static_cast<float*>(g.c) + i * g.cStride + j;
        *c = g.accumulate ? *c + s : s;
      }
    }
  }
}

}  // namespace

void gemm(Team& team, const GemmArguments& g) {
  team.split(g.m, 1, [&](int64_t begin, int64_t end, int) { rows(g, begin, end); });
}

void gemmSerial(Team&, int, const GemmArguments& g) { rows(g, 0, g.m); }

}  // namespace braid::BRAID_VARIANT
