// A piece of memory of its own: 64-byte aligned, zeroed, given back when the object goes.
#pragma once
#include <cstddef>
#include <stdexcept>

namespace braid {

struct OutOfMemory : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Memory {
 public:
  Memory() = default;
  // Throws OutOfMemory, naming the size, when the system has no more.
  explicit Memory(size_t bytes);
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  size_t mapped_ = 0;  // bytes of the mapping, when it is one
};

}  // namespace braid
