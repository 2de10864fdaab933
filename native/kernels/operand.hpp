// Float operands of either storage. A kernel computes in float32: a Source widens what it loads, a Sink rounds what it
// stores. Lanes are the elements of one vector that exist: kWidth in the middle of a row, fewer at its end.
#pragma once
#include "../core/kernel.hpp"
#include "vector.hpp"

namespace braid::BRAID_VARIANT {

// The lanes of a vector that exist.
template <typename Element>
inline f32x16 loadLanes(const Element* p, int64_t lanes) {
  return lanes == kWidth ? load(p) : loadPartial(p, lanes);
}
template <typename Element>
inline void storeLanes(Element* p, const f32x16& v, int64_t lanes) {
  lanes == kWidth ? store(p, v) : storePartial(p, v, lanes);
}

class Source {
 public:
  Source(const Tensor& tensor) : data_(tensor.data), half_(tensor.dtype == DType::bfloat16) {}
  explicit operator bool() const { return data_ != nullptr; }

  f32x16 load(int64_t i, int64_t lanes = kWidth) const {
    return half_ ? loadLanes(halves() + i, lanes) : loadLanes(floats() + i, lanes);
  }
  float at(int64_t i) const { return half_ ? loadOne(halves() + i) : loadOne(floats() + i); }
  bool half() const { return half_; }
  void prefetch(int64_t i) const { __builtin_prefetch(static_cast<const char*>(data_) + i * (half_ ? 2 : 4)); }
  const float* floats() const { return static_cast<const float*>(data_); }
  const bfloat16* halves() const { return static_cast<const bfloat16*>(data_); }

 private:
  const void* data_;
  bool half_;
};

class Sink {
 public:
  Sink(const Tensor& tensor) : data_(tensor.data), half_(tensor.dtype == DType::bfloat16) {}
  explicit operator bool() const { return data_ != nullptr; }

  void store(int64_t i, const f32x16& v, int64_t lanes = kWidth) const {
    half_ ? storeLanes(static_cast<bfloat16*>(data_) + i, v, lanes) : storeLanes(static_cast<float*>(data_) + i, v, lanes);
  }
  void put(int64_t i, float x) const {
    half_ ? storeOne(static_cast<bfloat16*>(data_) + i, x) : storeOne(static_cast<float*>(data_) + i, x);
  }

 private:
  void* data_;
  bool half_;
};

// An input that need not be given: an empty tensor when the call has fewer inputs.
inline const Tensor& optional(const Call& call, size_t input) {
  static const Tensor none;
  return input < call.inputCount ? call.inputs[input] : none;
}

// body(index, lanes) for consecutive vectors of [begin, end).
template <typename Body>
inline void forVectors(int64_t begin, int64_t end, const Body& body) {
  int64_t i = begin;
  for (; i + kWidth <= end; i += kWidth) body(i, int64_t{kWidth});
  if (i < end) body(i, end - i);
}

// The same over [0, count), on all threads. Small tensors stay on one: waking the others costs more.
template <typename Body>
inline void forVectors(Team& team, int64_t count, const Body& body) {
  constexpr int64_t grain = 4096;
  team.split(count, grain, [&](int64_t begin, int64_t end, int) { forVectors(begin, end, body); });
}

// How many rows of `width` elements make a piece of work worth a thread.
inline int64_t rowGrain(int64_t width) { return width >= 4096 ? 1 : 4096 / (width > 0 ? width : 1); }

}  // namespace braid::BRAID_VARIANT
