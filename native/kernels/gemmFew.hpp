// Products with few rows, as in generation: time goes into reading b once, so nothing is packed.
#pragma once
#include "gemm.hpp"

namespace braid::BRAID_VARIANT {

constexpr int64_t kFewRows = 16;
constexpr int64_t kFewColumns = 16;  // columns are computed and divided in pieces of this many

inline bool fewRows(const GemmArguments& g) { return g.m <= kFewRows && !g.a.transposed; }

// Columns [begin, end); begin is a multiple of kFewColumns.
void multiplyFewRows(const GemmArguments& g, int64_t begin, int64_t end);

}  // namespace braid::BRAID_VARIANT
