// The product with a block-diagonal matrix: one product per block, in place among the features of all blocks. Blocks are
// dealt out to the threads, which need not wait for each other then; fewer blocks than threads are done by all, one by one.
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

// product(block) gives the arguments of one product.
template <typename Product>
void multiplyBlocks(Team& team, int64_t count, const Product& product) {
  if (count < team.size()) {
    for (int64_t h = 0; h < count; h++) gemm(team, product(h));
    return;
  }
  team.split(count, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t h = begin; h < end; h++) gemmSerial(team, thread, product(h));
  });
}

const void* at(const Tensor& tensor, int64_t element) {
  return tensor.as<const std::byte>() + static_cast<size_t>(element) * byteSize(tensor.dtype);
}

void blockMatmul(const Call& call) {
  const Blocks blocks(call);
  const Tensor& y = call.out(0);
  if (!y) return;
  const float* bias = call.inputCount > 2 ? call.in(2).as<const float>() : nullptr;
  multiplyBlocks(call.team, blocks.count, [&](int64_t h) {
    GemmArguments g{};
    g.m = blocks.rows, g.n = blocks.n, g.k = blocks.k;
    g.a = {at(blocks.x, h * blocks.k), blocks.x.dtype, blocks.inputs()};
    g.b = {at(blocks.w, h * blocks.k * blocks.n), blocks.w.dtype, blocks.n};
    g.c = const_cast<void*>(at(y, h * blocks.n));
    g.cType = y.dtype, g.cStride = blocks.outputs();
    if (bias) g.bias = bias + h * blocks.n;
    return g;
  });
}

void blockMatmulBackward(const Call& call) {
  const Blocks blocks(call);
  const Tensor& dy = call.in(2);
  float *dx = call.out(0).as<float>(), *dw = call.out(1).as<float>();
  const auto own = [&](int64_t h) { return GemmOperand{at(dy, h * blocks.n), dy.dtype, blocks.outputs()}; };
  if (dx) {
    multiplyBlocks(call.team, blocks.count, [&](int64_t h) {
      GemmArguments g{};
      g.m = blocks.rows, g.n = blocks.k, g.k = blocks.n;
      g.a = own(h);
      g.b = {at(blocks.w, h * blocks.k * blocks.n), blocks.w.dtype, blocks.n, true};
      g.c = dx + h * blocks.k, g.cType = DType::float32, g.cStride = blocks.inputs();
      return g;
    });
  }
  if (!dw) return;
  multiplyBlocks(call.team, blocks.count, [&](int64_t h) {
    GemmArguments g{};
    g.m = blocks.k, g.n = blocks.n, g.k = blocks.rows;
    g.a = {at(blocks.x, h * blocks.k), blocks.x.dtype, blocks.inputs(), true};
    g.b = own(h);
    g.c = dw + h * blocks.k * blocks.n, g.cType = DType::float32, g.cStride = blocks.n;
    return g;
  });
}

}  // namespace

void registerBlockMatmul(KernelTable& table) {
  table.emplace("blockMatmul", blockMatmul);
  table.emplace("blockMatmulBackward", blockMatmulBackward);
}

}  // namespace braid::BRAID_VARIANT
