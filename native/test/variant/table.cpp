// Stands in for kernels/table.cpp: these tests need the matrix product of every instruction set, and bring their own kernels.
#include "../../core/kernel.hpp"

namespace braid::BRAID_VARIANT {

KernelTable makeKernelTable() { return {}; }

}  // namespace braid::BRAID_VARIANT
