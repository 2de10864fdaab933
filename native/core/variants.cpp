#include "variants.hpp"

#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace braid {

// Which variants are compiled in is the build script's decision.
#define BRAID_DECLARE(name)                                  \
  namespace name {                                           \
  KernelTable makeKernelTable();                             \
  void gemm(Team&, const GemmArguments&);                    \
  void gemmSerial(Team&, int thread, const GemmArguments&);  \
  }
#if defined(BRAID_HAS_AVX512BF16)
BRAID_DECLARE(avx512bf16)
#endif
#if defined(BRAID_HAS_AVX512)
BRAID_DECLARE(avx512)
#endif
#if defined(BRAID_HAS_AVX2)
BRAID_DECLARE(avx2)
#endif
#if defined(BRAID_HAS_PORTABLE)
BRAID_DECLARE(portable)
#endif
#undef BRAID_DECLARE

namespace {

struct Cpu {
  bool avx2 = false;
  bool avx512 = false;
  bool avx512bf16 = false;
  bool tiles = false;
};

// Linux gives the matrix unit to processes that ask for it. Threads that exist keep what they had, so this comes first.
bool requestTiles() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

Cpu detect() {
  Cpu cpu;
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
  const bool fma = c & (1u << 12), osxsave = c & (1u << 27), avx = c & (1u << 28), f16c = c & (1u << 29);
  if (!fma || !osxsave || !avx || !f16c) return cpu;
  // The system must save the wide registers when it switches tasks, or they cannot be used whatever the CPU has.
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  const bool saves256 = (low & 0x6) == 0x6, saves512 = (low & 0xe6) == 0xe6;
  if (!saves256 || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return cpu;
  cpu.avx2 = b & (1u << 5);
  const bool f = b & (1u << 16), dq = b & (1u << 17), bw = b & (1u << 30), vl = b & (1u << 31);
  const bool tile = d & (1u << 24), tileBf16 = d & (1u << 22), savesTiles = (low & 0x60000) == 0x60000;
  cpu.avx512 = cpu.avx2 && saves512 && f && dq && bw && vl;
  if (cpu.avx512 && a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) cpu.avx512bf16 = a & (1u << 5);
  cpu.tiles = cpu.avx512bf16 && tile && tileBf16 && savesTiles && requestTiles();
#endif
  return cpu;
}

std::vector<Variant> makeVariants() {
  std::vector<Variant> all;
  [[maybe_unused]] const Cpu cpu = detect();
#if defined(BRAID_HAS_AVX512BF16)
  all.push_back({"amx", cpu.tiles, true, avx512bf16::makeKernelTable, avx512bf16::gemm, avx512bf16::gemmSerial});
  all.push_back({"avx512bf16", cpu.avx512bf16, false, avx512bf16::makeKernelTable, avx512bf16::gemm, avx512bf16::gemmSerial});
#endif
#if defined(BRAID_HAS_AVX512)
  all.push_back({"avx512", cpu.avx512, false, avx512::makeKernelTable, avx512::gemm, avx512::gemmSerial});
#endif
#if defined(BRAID_HAS_AVX2)
  all.push_back({"avx2", cpu.avx2, false, avx2::makeKernelTable, avx2::gemm, avx2::gemmSerial});
#endif
#if defined(BRAID_HAS_PORTABLE)
  all.push_back({"portable", true, false, portable::makeKernelTable, portable::gemm, portable::gemmSerial});
#endif
  return all;
}

}  // namespace

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = makeVariants();
  return all;
}

const Variant& chooseVariant(const std::string& name) {
  std::string known;
  for (const Variant& variant : variants()) {
    if (name.empty() && variant.supported) return variant;
    if (name == variant.name) {
      if (variant.supported) return variant;
      throw std::invalid_argument("This CPU cannot run the instruction set '" + name + "'.");
    }
    known += std::string(known.empty() ? "" : ", ") + variant.name;
  }
  if (name.empty()) {
    throw std::invalid_argument("This build has kernels for " + known +
                                " only, and this CPU runs none of them. Build the addon on this machine, or with --all.");
  }
  throw std::invalid_argument("There is no instruction set '" + name + "' in this build. It has " + known +
                              "; build the addon with --all for every one.");
}

}  // namespace braid
