// The operation `matmul` of docs/operations.md.
#include "gemm.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

void matmul(const Call& call) {
  const Tensor& a = call.in(0);
  const Tensor& b = call.in(1);
  const Tensor& y = call.out(0);
  if (!y) return;
  const bool transposeA = call.attributes.flagOr("transposeA", false);
  const bool transposeB = call.attributes.flagOr("transposeB", false);
  GemmArguments g{};
  g.m = transposeA ? a.last() : a.rows();
  g.k = transposeA ? a.rows() : a.last();
  // With transposeA all leading axes of b are contracted too; otherwise b is a plain matrix.
  g.n = transposeB ? b.shape[0] : b.last();
  g.a = {a.data, a.dtype, a.last(), transposeA};
  g.b = {b.data, b.dtype, b.last(), transposeB};
  g.c = y.data;
  g.cType = y.dtype;
  g.cStride = g.n;
  if (call.inputCount > 2) g.bias = call.in(2).as<const float>();
  if (call.inputCount > 3) g.addend = call.in(3).as<const float>();
  g.addendStride = g.n;
  gemm(call.team, g);
}

}  // namespace

void registerMatmul(KernelTable& table) { table.emplace("matmul", matmul); }

}  // namespace braid::BRAID_VARIANT
