#include "table.hpp"

namespace braid::BRAID_VARIANT {

KernelTable makeKernelTable() {
  KernelTable table;
  registerElementwise(table);
  registerEmbedding(table);
  registerMatmul(table);
  registerNorm(table);
  registerOptimizer(table);
  registerPositions(table);
  registerReduce(table);
  registerRope(table);
  registerTensor(table);
  return table;
}

}  // namespace braid::BRAID_VARIANT
