// Matrix product with float32 accumulation:  c = a·b (+ bias) (+ addend) (+ c).
// bfloat16 operands are multiplied as such where the CPU can, and widened to float32 where it cannot: the products of two
// bfloat16 numbers are exact in float32, so only the order of additions differs.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../core/team.hpp"
#include "../core/tensor.hpp"

namespace braid {

// A matrix in memory: element (row, column) stands at row·stride + column, or, transposed, at column·stride + row.
// Rows and columns are those of the product: a is m × k, b is k × n. Linear weights [N, K] are a transposed b.
struct GemmOperand {
  const void* data;
  DType dtype;  // float32 or bfloat16
  int64_t stride;
  bool transposed = false;
};

struct GemmArguments {
  int64_t m, n, k;
  GemmOperand a, b;
  void* c;
  DType cType;  // float32 or bfloat16
  int64_t cStride;
  const float* bias = nullptr;    // [n]
  const float* addend = nullptr;  // [m, n] with rows addendStride apart
  int64_t addendStride = 0;
  bool accumulate = false;  // add to what c holds; c is float32 then
};

}  // namespace braid

namespace braid::BRAID_VARIANT {

// On all threads of the team. c overlaps neither operand; it may be the addend (same stride).
void gemm(Team& team, const GemmArguments& arguments);

// On the calling thread, for use inside a team's loop; `thread` is the index that the loop was given.
void gemmSerial(Team& team, int thread, const GemmArguments& arguments);

}  // namespace braid::BRAID_VARIANT
