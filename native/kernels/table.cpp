#include "table.hpp"

namespace braid::BRAID_VARIANT {

KernelTable makeKernelTable() {
  KernelTable table;
  registerMatmul(table);
  return table;
}

}  // namespace braid::BRAID_VARIANT
