// A program as it crosses from TypeScript (src/compiler/program.ts): read from JSON, checked completely, ready to be bound
// to memory.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel.hpp"

namespace braid {

struct ProgramBuffer {
  std::string role;
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  size_t bytes;
  bool persistent;
  size_t offset;  // in the arena; unused for persistent buffers

  std::string key() const { return role + "/" + name; }
};

constexpr int kNoBuffer = -1;

struct ProgramCall {
  std::string operation;
  std::string path;
  Kernel kernel;
  std::vector<int> inputs;  // kNoBuffer: not given
  std::vector<int> outputs;
  int workspace;
  std::unique_ptr<Attributes> attributes;
};

struct ProgramLane {
  int threads;
  std::vector<int> calls;
};

// One call on all threads (no lanes), or lanes side by side.
struct ScheduleItem {
  int call;
  std::string group;
  std::vector<ProgramLane> lanes;
};

struct Program {
  int threads;
  size_t arenaBytes;
  std::vector<ProgramBuffer> buffers;
  std::vector<ProgramCall> calls;
  std::vector<ScheduleItem> schedule;
  std::map<std::string, int> inputs;
  std::map<std::string, int> outputs;
};

// Throws std::invalid_argument, naming the buffer or call, for anything that could not be run safely.
Program parseProgram(std::string_view json, const KernelTable& kernels);

}  // namespace braid
