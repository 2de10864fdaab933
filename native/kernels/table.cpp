#include "table.hpp"

namespace braid::BRAID_VARIANT {

KernelTable makeKernelTable() {
  KernelTable table;
  registerAttention(table);
  registerAttentionBackward(table);
  registerBlockMatmul(table);
  registerConvolution(table);
  registerConvolutionBackward(table);
  registerElementwise(table);
  registerEmbedding(table);
  registerExpertsChoice(table);
  registerExpertsMatmul(table);
  registerExpertsRows(table);
  registerFilterConvolution(table);
  registerGatedConvolution(table);
  registerGatedConvolutionBackward(table);
  registerGatedDecay(table);
  registerLinearRecurrence(table);
  registerLoss(table);
  registerMatmul(table);
  registerModalConvolution(table);
  registerModalConvolutionBackward(table);
  registerNorm(table);
  registerOptimizer(table);
  registerPositions(table);
  registerQuantize(table);
  registerQuantizedMatmul(table);
  registerReduce(table);
  registerRope(table);
  registerScan(table);
  registerScanBackward(table);
  registerSlide(table);
  registerSoftmax(table);
  registerSsd(table);
  registerSsdBackward(table);
  registerTensor(table);
  return table;
}

}  // namespace braid::BRAID_VARIANT
