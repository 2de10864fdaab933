// Instruction sets: what the CPU (and the system) can do, and which of the compiled kernel tables fits.
#pragma once
#include <string>
#include <vector>

#include "kernel.hpp"

namespace braid {

struct GemmArguments;

struct Variant {
  const char* name;  // amx, avx512bf16, avx512, avx2, portable
  bool supported;    // by this CPU and system
  // The matrix unit is not a set of kernels of its own: those of avx512bf16 use it when their team says so.
  bool tiles;
  KernelTable (*makeTable)();
  // The product itself, which the kernels share (kernels/gemm.hpp).
  void (*gemm)(Team&, const GemmArguments&);
  void (*gemmSerial)(Team&, int thread, const GemmArguments&);
};

// All compiled variants, best first.
const std::vector<Variant>& variants();

// The best supported variant, or the one of that name. Throws std::invalid_argument when there is no such variant or this
// CPU lacks it.
const Variant& chooseVariant(const std::string& name);

}  // namespace braid
