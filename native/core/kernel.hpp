// What a kernel is given, and how kernels are found. Kernels live in native/kernels, are compiled once per instruction
// set (namespace BRAID_VARIANT), and are registered under the names of docs/operations.md.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "team.hpp"
#include "tensor.hpp"

namespace braid {

// Constants of a call, parsed from JSON when the program is loaded. Missing names throw std::invalid_argument.
class Attributes {
 public:
  virtual ~Attributes() = default;
  virtual bool has(const char* name) const = 0;
  virtual double number(const char* name) const = 0;
  virtual bool flag(const char* name) const = 0;
  virtual const std::string& text(const char* name) const = 0;
  // A list of lists of [start, end) ranges, flattened: ranges(name)[part] is start0, end0, start1, end1 …
  virtual const std::vector<std::vector<int64_t>>& ranges(const char* name) const = 0;
  virtual const std::vector<int64_t>& numbers(const char* name) const = 0;
  int64_t integer(const char* name) const { return static_cast<int64_t>(number(name)); }
  // Optional flag: false when absent.
  bool flagOr(const char* name, bool other) const { return has(name) ? flag(name) : other; }
};

struct Call {
  const Tensor* inputs;
  size_t inputCount;
  const Tensor* outputs;
  size_t outputCount;
  const Attributes& attributes;
  std::byte* workspace;  // 64-byte aligned; as many bytes as the operation's `workspace` rule asks for
  size_t workspaceBytes;
  Team& team;

  const Tensor& in(size_t i) const { return inputs[i]; }
  const Tensor& out(size_t i) const { return outputs[i]; }
};

// A kernel may throw std::runtime_error for bad data (an id outside the vocabulary); the message reaches the user.
using Kernel = void (*)(const Call&);
using KernelTable = std::unordered_map<std::string, Kernel>;

}  // namespace braid
