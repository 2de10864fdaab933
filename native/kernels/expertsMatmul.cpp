// The matrix product in which every expert has rows and a weight of its own: one product after the other, each on all
// threads. Which rows are whose is known at run time only.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "gemm.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Groups {
  const Tensor &x, &w;
  const int32_t* offsets;
  int64_t rows, experts, n, k;

  explicit Groups(const Call& call)
      : x(call.in(0)),
        w(call.in(1)),
        offsets(call.in(2).as<const int32_t>()),
        rows(x.shape[0]),
        experts(w.shape[0]),
        n(w.shape[1]),
        k(w.shape[2]) {
    bool ordered = offsets[0] == 0 && offsets[experts] == rows;
    for (int64_t e = 0; e < experts; e++) ordered = ordered && offsets[e] <= offsets[e + 1];
    if (ordered) return;
    std::string found;
    for (int64_t e = 0; e <= experts; e++) found += (e > 0 ? ", " : "") + std::to_string(offsets[e]);
    throw std::runtime_error("groupedMatmul: the offsets must rise from 0 to the " + std::to_string(rows) +
                             " rows: " + found + ". They must come from 'groupTokens' over the same choices.");
  }

  int64_t start(int64_t expert) const { return offsets[expert]; }
  int64_t count(int64_t expert) const { return offsets[expert + 1] - offsets[expert]; }
};

const void* at(const Tensor& tensor, int64_t element) {
  return tensor.as<const std::byte>() + static_cast<size_t>(element) * byteSize(tensor.dtype);
}

void groupedMatmul(const Call& call) {
  const Groups groups(call);
  const Tensor& y = call.out(0);
  if (!y) return;
  for (int64_t e = 0; e < groups.experts; e++) {
    if (groups.count(e) == 0) continue;
    GemmArguments g{};
    g.m = groups.count(e), g.n = groups.n, g.k = groups.k;
    g.a = {at(groups.x, groups.start(e) * groups.k), groups.x.dtype, groups.k};
    g.b = {at(groups.w, e * groups.n * groups.k), groups.w.dtype, groups.k, true};
    g.c = const_cast<void*>(at(y, groups.start(e) * groups.n));
    g.cType = y.dtype, g.cStride = groups.n;
    gemm(call.team, g);
  }
}

void groupedMatmulBackward(const Call& call) {
  const Groups groups(call);
  const Tensor& dy = call.in(3);
  float *dx = call.out(0).as<float>(), *dw = call.out(1).as<float>();
  for (int64_t e = 0; e < groups.experts; e++) {
    const int64_t count = groups.count(e), start = groups.start(e), weight = e * groups.n * groups.k;
    const GemmOperand own{at(dy, start * groups.n), dy.dtype, groups.n};
    if (dw && count == 0) std::fill(dw + weight, dw + weight + groups.n * groups.k, 0.0f);
    if (count == 0) continue;
    if (dx) {
      GemmArguments g{};
      g.m = count, g.n = groups.k, g.k = groups.n;
      g.a = own;
      g.b = {at(groups.w, weight), groups.w.dtype, groups.k};
      g.c = dx + start * groups.k, g.cType = DType::float32, g.cStride = groups.k;
      gemm(call.team, g);
    }
    if (dw) {
      GemmArguments g{};
      g.m = groups.n, g.n = groups.k, g.k = count;
      g.a = own;
      g.a.transposed = true;
      g.b = {at(groups.x, start * groups.k), groups.x.dtype, groups.k};
      g.c = dw + weight, g.cType = DType::float32, g.cStride = groups.k;
      gemm(call.team, g);
    }
  }
}

}  // namespace

void registerExpertsMatmul(KernelTable& table) {
  table.emplace("groupedMatmul", groupedMatmul);
  table.emplace("groupedMatmulBackward", groupedMatmulBackward);
}

}  // namespace braid::BRAID_VARIANT
