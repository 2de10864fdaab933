// The product with a block-diagonal matrix: one product per block, in place among the features of all blocks, each on all
// threads.
#include "gemm.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Blocks {
  const Tensor &x, &w;
  int64_t rows, count, k, n;

  explicit Blocks(const Call& call)
      : x(call.in(0)), w(call.in(1)), rows(x.rows()), count(w.shape[0]), k(w.shape[1]), n(w.shape[2]) {}

  int64_t inputs() const { return count * k; }
  int64_t outputs() const { return count * n; }
};

const void* at(const Tensor& tensor, int64_t element) {
  return tensor.as<const std::byte>() + static_cast<size_t>(element) * byteSize(tensor.dtype);
}

void blockMatmul(const Call& call) {
  const Blocks blocks(call);
  const Tensor& y = call.out(0);
  if (!y) return;
  const float* bias = call.inputCount > 2 ? call.in(2).as<const float>() : nullptr;
  for (int64_t h = 0; h < blocks.count; h++) {
    GemmArguments g{};
    g.m = blocks.rows, g.n = blocks.n, g.k = blocks.k;
    g.a = {at(blocks.x, h * blocks.k), blocks.x.dtype, blocks.inputs()};
    g.b = {at(blocks.w, h * blocks.k * blocks.n), blocks.w.dtype, blocks.n};
    g.c = const_cast<void*>(at(y, h * blocks.n));
    g.cType = y.dtype, g.cStride = blocks.outputs();
    if (bias) g.bias = bias + h * blocks.n;
    gemm(call.team, g);
  }
}

void blockMatmulBackward(const Call& call) {
  const Blocks blocks(call);
  const Tensor& dy = call.in(2);
  float *dx = call.out(0).as<float>(), *dw = call.out(1).as<float>();
  for (int64_t h = 0; h < blocks.count; h++) {
    const GemmOperand own{at(dy, h * blocks.n), dy.dtype, blocks.outputs()};
    if (dx) {
      GemmArguments g{};
      g.m = blocks.rows, g.n = blocks.k, g.k = blocks.n;
      g.a = own;
      g.b = {at(blocks.w, h * blocks.k * blocks.n), blocks.w.dtype, blocks.n, true};
      g.c = dx + h * blocks.k, g.cType = DType::float32, g.cStride = blocks.inputs();
      gemm(call.team, g);
    }
    if (dw) {
      GemmArguments g{};
      g.m = blocks.k, g.n = blocks.n, g.k = blocks.rows;
      g.a = {at(blocks.x, h * blocks.k), blocks.x.dtype, blocks.inputs(), true};
      g.b = own;
      g.c = dw + h * blocks.k * blocks.n, g.cType = DType::float32, g.cStride = blocks.n;
      gemm(call.team, g);
    }
  }
}

}  // namespace

void registerBlockMatmul(KernelTable& table) {
  table.emplace("blockMatmul", blockMatmul);
  table.emplace("blockMatmulBackward", blockMatmulBackward);
}

}  // namespace braid::BRAID_VARIANT
