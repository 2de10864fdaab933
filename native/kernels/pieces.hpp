// Scratch memory of a thread, cut up.
#pragma once
#include <cstddef>
#include <cstdint>

#include "vector.hpp"

namespace braid::BRAID_VARIANT {

// Whole vectors.
inline int64_t padded(int64_t width) { return (width + kWidth - 1) / kWidth * kWidth; }

// Pieces of one thread's scratch memory, each on a cache line of its own.
class Pieces {
 public:
  explicit Pieces(std::byte* memory) : next_(reinterpret_cast<float*>(memory)) {}
  float* take(int64_t floats) {
    float* piece = next_;
    next_ += padded(floats);
    return piece;
  }

 private:
  float* next_;
};

}  // namespace braid::BRAID_VARIANT
