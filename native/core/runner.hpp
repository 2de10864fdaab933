// A program bound to memory: its arena, the tensors of a store, the threads it runs on.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "pool.hpp"
#include "program.hpp"
#include "store.hpp"

namespace braid {

// Aids of tests, slow: `poison` fills the arena with NaN before each run, so that reading what nobody wrote shows;
// `guard` reports the call that writes outside its outputs and workspace.
struct RunnerOptions {
  bool poison = false;
  bool guard = false;
};

struct RunRequest {
  bool profile = false;
  bool check = false;
};

struct LaneTimes {
  std::string group;
  double seconds;
  std::vector<LaneUse> lanes;
};

struct CallTime {
  int call;
  double start;
  double seconds;
};

struct RunResult {
  double seconds = 0;
  std::vector<LaneTimes> lanes;
  std::vector<CallTime> calls;  // when profiled, in order of start
  int nonFinite = kNoBuffer;    // of a checked run: the first call with a NaN or an infinity among its outputs
};

// The bytes of a named input or output, with what keeps them alive.
struct View {
  DType dtype;
  std::vector<int64_t> shape;
  std::byte* data;
  size_t bytes;
  std::shared_ptr<Memory> owner;
};

class Runner {
 public:
  // Throws std::invalid_argument when the store holds a tensor of another type, or the pool another number of threads.
  Runner(Program program, Store& store, std::shared_ptr<ThreadPool> pool, RunnerOptions options);

  // Throws std::runtime_error, naming the call, when a kernel refuses its data. Not reentrant.
  RunResult run(const RunRequest& request);

  const Program& program() const { return program_; }
  View view(int buffer) const;
  

 private:
  struct BoundCall {
    std::vector<Tensor> inputs;
    std::vector<Tensor> outputs;
    std::byte* workspace;
    size_t workspaceBytes;
  };
  class Guard;

  Tensor bind(int buffer) const;
  void poisonArena();
  // False: a checked call gave something that is not finite, which `result` then says.
  bool runCall(int call, Team& team, const RunRequest& request, RunResult& result, std::vector<CallTime>* times);
  bool runGroup(const ScheduleItem& item, const RunRequest& request, RunResult& result);
  void execute(int call, Team& team);
  bool finite(int call) const;
  double now() const;

  Program program_;
  RunnerOptions options_;
  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<Memory> arena_;
  std::vector<StoredTensor> stored_;  // by buffer; empty memory for those in the arena
  std::vector<BoundCall> bound_;
  double started_ = 0;
};

}  // namespace braid
