// One function per kernel file, which adds the kernels of that file to the table of its instruction set.
// A new file: declare its function here and call it in table.cpp.
#pragma once
#include "../core/kernel.hpp"

namespace braid::BRAID_VARIANT {

void registerAttention(KernelTable& table);
void registerAttentionBackward(KernelTable& table);
void registerBlockMatmul(KernelTable& table);
void registerConvolution(KernelTable& table);
void registerConvolutionBackward(KernelTable& table);
void registerElementwise(KernelTable& table);
void registerEmbedding(KernelTable& table);
void registerExpertsChoice(KernelTable& table);
void registerExpertsMatmul(KernelTable& table);
void registerExpertsRows(KernelTable& table);
void registerFilterConvolution(KernelTable& table);
void registerGatedConvolution(KernelTable& table);
void registerGatedConvolutionBackward(KernelTable& table);
void registerGatedDecay(KernelTable& table);
void registerLinearRecurrence(KernelTable& table);
void registerLoss(KernelTable& table);
void registerMatmul(KernelTable& table);
void registerModalConvolution(KernelTable& table);
void registerModalConvolutionBackward(KernelTable& table);
void registerNorm(KernelTable& table);
void registerOptimizer(KernelTable& table);
void registerPositions(KernelTable& table);
void registerQuantize(KernelTable& table);
void registerQuantizedMatmul(KernelTable& table);
void registerReduce(KernelTable& table);
void registerRope(KernelTable& table);
void registerScan(KernelTable& table);
void registerScanBackward(KernelTable& table);
void registerSlide(KernelTable& table);
void registerSoftmax(KernelTable& table);
void registerSsd(KernelTable& table);
void registerSsdBackward(KernelTable& table);
void registerTensor(KernelTable& table);

}  // namespace braid::BRAID_VARIANT
