// One function per kernel file, which adds the kernels of that file to the table of its instruction set.
// A new file: declare its function here and call it in table.cpp.
#pragma once
#include "../core/kernel.hpp"

namespace braid::BRAID_VARIANT {

void registerMatmul(KernelTable& table);

}  // namespace braid::BRAID_VARIANT
