#include "memory.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#define BRAID_HAS_MMAP 1
#endif

namespace braid {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

[[noreturn]] void outOfMemory(size_t bytes) {
  throw OutOfMemory("The system gave no memory for a buffer of " + std::to_string(bytes >> 20) +
                           " MiB. Use a smaller batch, length or model.");
}

}  // namespace

Memory::Memory(size_t bytes) : bytes_(bytes) {
#if defined(BRAID_HAS_MMAP)
  // Large pieces come straight from the system: zeroed lazily, aligned to huge pages, which save most address look-ups.
  if (bytes >= 2 * kHugePage) {
    mapped_ = bytes + kHugePage;
    void* base = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) outOfMemory(bytes);
    const uintptr_t start = reinterpret_cast<uintptr_t>(base);
    const uintptr_t aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
    // Only whole pages can be given back early; what is left of the surplus is never touched.
    if (aligned > start) munmap(base, aligned - start);
    mapped_ -= aligned - start;
    data_ = reinterpret_cast<std::byte*>(aligned);
#if defined(MADV_HUGEPAGE)
    madvise(data_, bytes, MADV_HUGEPAGE);
#endif
    return;
  }
#endif
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  data_ = static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded));
  if (data_ == nullptr) outOfMemory(bytes);
  std::memset(data_, 0, rounded);
}

Memory::~Memory() {
  if (data_ == nullptr) return;
#if defined(BRAID_HAS_MMAP)
  if (mapped_ > 0) {
    munmap(data_, mapped_);
    return;
  }
#endif
  std::free(data_);
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

}  // namespace braid
