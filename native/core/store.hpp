// Persistent tensors by key, one piece of memory each. Programs and views share that memory: it goes when the last of
// store, programs and views lets go.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "memory.hpp"
#include "tensor.hpp"

namespace braid {

struct StoredTensor {
  DType dtype;
  std::vector<int64_t> shape;
  size_t bytes;  // of the tensor; the memory behind it ends with a guard zone
  std::shared_ptr<Memory> memory;

  // False when something has written past the end.
  bool guardIntact() const;
};

class Store {
 public:
  // The tensor of that key, made of zeros at the first call. Throws std::invalid_argument when it is of another type.
  const StoredTensor& tensor(const std::string& key, DType dtype, const std::vector<int64_t>& shape);
  const StoredTensor* find(const std::string& key) const;
  void remove(const std::string& key) { tensors_.erase(key); }
  size_t bytes() const;
  void clear() { tensors_.clear(); }

 private:
  std::map<std::string, StoredTensor> tensors_;
};

const char* nameOf(DType dtype);
// `float32[2, 3]`
std::string describe(DType dtype, const std::vector<int64_t>& shape);

}  // namespace braid
