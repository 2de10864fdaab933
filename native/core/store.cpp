#include "store.hpp"

#include <cstring>
#include <stdexcept>

namespace braid {
namespace {

constexpr size_t kGuardBytes = 64;
constexpr int kGuardByte = 0xA5;

}  // namespace

bool StoredTensor::guardIntact() const {
  const std::byte* guard = memory->data() + bytes;
  for (size_t i = 0; i < kGuardBytes; i++) {
    if (guard[i] != static_cast<std::byte>(kGuardByte)) return false;
  }
  return true;
}

const StoredTensor& Store::tensor(const std::string& key, DType dtype, const std::vector<int64_t>& shape) {
  const auto known = tensors_.find(key);
  if (known != tensors_.end()) {
    const StoredTensor& tensor = known->second;
    if (tensor.dtype != dtype || tensor.shape != shape) {
      throw std::invalid_argument("The store holds '" + key + "' as " + describe(tensor.dtype, tensor.shape) +
                                  ", but it is asked for as " + describe(dtype, shape) + ".");
    }
    return tensor;
  }
  size_t bytes = byteSize(dtype);
  for (const int64_t size : shape) bytes *= static_cast<size_t>(size);
  auto memory = std::make_shared<Memory>(bytes + kGuardBytes);
  std::memset(memory->data() + bytes, kGuardByte, kGuardBytes);
  return tensors_.emplace(key, StoredTensor{dtype, shape, bytes, std::move(memory)}).first->second;
}

const StoredTensor* Store::find(const std::string& key) const {
  const auto known = tensors_.find(key);
  return known == tensors_.end() ? nullptr : &known->second;
}

size_t Store::bytes() const {
  size_t total = 0;
  for (const auto& [key, tensor] : tensors_) total += tensor.bytes;
  return total;
}

const char* nameOf(DType dtype) {
  switch (dtype) {
    case DType::float32: return "float32";
    case DType::bfloat16: return "bfloat16";
    case DType::int32: return "int32";
  }
  return "";
}

std::string describe(DType dtype, const std::vector<int64_t>& shape) {
  std::string text = nameOf(dtype);
  text += '[';
  for (size_t i = 0; i < shape.size(); i++) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + ']';
}

}  // namespace braid
