// Operands of kernels: plain views of memory that somebody else owns. No Node header below native/core and native/kernels.
#pragma once
#include <cstddef>
#include <cstdint>

namespace braid {

enum class DType : uint8_t { float32, bfloat16, int32 };

inline size_t byteSize(DType dtype) { return dtype == DType::bfloat16 ? 2 : 4; }

// Bits of a bfloat16 number; arithmetic happens in float32.
struct bfloat16 {
  uint16_t bits;
};

constexpr int kMaxRank = 8;

struct Tensor {
  void* data = nullptr;  // null: the input is not given, or nobody reads the output
  DType dtype = DType::float32;
  int rank = 0;
  int64_t shape[kMaxRank] = {};

  explicit operator bool() const { return data != nullptr; }
  int64_t count() const {
    int64_t n = 1;
    for (int axis = 0; axis < rank; axis++) n *= shape[axis];
    return n;
  }
  // Product of all axes but the last: the rows of a row-major matrix.
  int64_t rows() const { return rank == 0 ? 1 : count() / (shape[rank - 1] == 0 ? 1 : shape[rank - 1]); }
  int64_t last() const { return rank == 0 ? 1 : shape[rank - 1]; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

}  // namespace braid
