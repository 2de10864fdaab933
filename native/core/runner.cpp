#include "runner.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "denormals.hpp"

namespace braid {
namespace {

std::string place(const ProgramCall& call) {
  return call.path.empty() ? call.operation : call.operation + " in " + call.path;
}

// All bits of the exponent set: NaN or infinity.
template <typename Bits>
bool allFinite(const void* data, int64_t count, Bits exponent) {
  const Bits* values = static_cast<const Bits*>(data);
  bool fine = true;
  for (int64_t i = 0; i < count; i++) fine &= (values[i] & exponent) != exponent;
  return fine;
}

}  // namespace

// Remembers the arena before a call and tells whether anything but the call's own buffers changed.
class Runner::Guard {
 public:
  Guard(const Runner& runner, const ProgramCall& call) : runner_(runner), call_(call) {
    const std::byte* arena = runner.arena_->data();
    before_.assign(arena, arena + runner.program_.arenaBytes);
  }

  void check() {
    for (const int buffer : call_.outputs) allow(buffer);
    allow(call_.workspace);
    const std::byte* arena = runner_.arena_->data();
    const auto different = std::mismatch(before_.begin(), before_.end(), arena).first - before_.begin();
    if (static_cast<size_t>(different) != before_.size()) {
      throw std::runtime_error("It wrote outside its outputs, at byte " + std::to_string(different) + " of the arena.");
    }
    for (const StoredTensor& tensor : runner_.stored_) {
      if (tensor.memory && !tensor.guardIntact()) {
        throw std::runtime_error("It wrote past the end of a tensor of the store.");
      }
    }
  }

 private:
  void allow(int buffer) {
    if (buffer == kNoBuffer) return;
    const ProgramBuffer& b = runner_.program_.buffers[static_cast<size_t>(buffer)];
    if (!b.persistent) std::memcpy(before_.data() + b.offset, runner_.arena_->data() + b.offset, b.bytes);
  }

  const Runner& runner_;
  const ProgramCall& call_;
  std::vector<std::byte> before_;
};

Runner::Runner(Program program, Store& store, std::shared_ptr<ThreadPool> pool, RunnerOptions options)
    : program_(std::move(program)), options_(options), pool_(std::move(pool)) {
  if (program_.threads != pool_->size()) {
    throw std::invalid_argument("The program was compiled for " + std::to_string(program_.threads) +
                                " threads, but the executor has " + std::to_string(pool_->size()) + ".");
  }
  for (const ProgramBuffer& buffer : program_.buffers) {
    stored_.push_back(buffer.persistent ? store.tensor(buffer.key(), buffer.dtype, buffer.shape) : StoredTensor{});
  }
  arena_ = std::make_shared<Memory>(program_.arenaBytes);
  for (const ProgramCall& call : program_.calls) {
    BoundCall bound;
    for (const int buffer : call.inputs) bound.inputs.push_back(bind(buffer));
    for (const int buffer : call.outputs) bound.outputs.push_back(bind(buffer));
    const Tensor workspace = bind(call.workspace);
    bound.workspace = workspace.as<std::byte>();
    bound.workspaceBytes =
        call.workspace == kNoBuffer ? 0 : program_.buffers[static_cast<size_t>(call.workspace)].bytes;
    bound_.push_back(std::move(bound));
  }
}

Tensor Runner::bind(int index) const {
  Tensor tensor;
  if (index == kNoBuffer) return tensor;
  const ProgramBuffer& buffer = program_.buffers[static_cast<size_t>(index)];
  tensor.data = view(index).data;
  tensor.dtype = buffer.dtype;
  tensor.rank = static_cast<int>(buffer.shape.size());
  std::copy(buffer.shape.begin(), buffer.shape.end(), tensor.shape);
  return tensor;
}

View Runner::view(int index) const {
  const ProgramBuffer& buffer = program_.buffers[static_cast<size_t>(index)];
  const auto& memory = buffer.persistent ? stored_[static_cast<size_t>(index)].memory : arena_;
  return {buffer.dtype, buffer.shape, memory->data() + buffer.offset, buffer.bytes, memory};
}

double Runner::now() const { return secondsNow() - started_; }

void Runner::poisonArena() {
  std::vector<std::pair<size_t, size_t>> kept;  // inputs: what the host has written
  for (const auto& [name, index] : program_.inputs) {
    const ProgramBuffer& buffer = program_.buffers[static_cast<size_t>(index)];
    if (!buffer.persistent) kept.emplace_back(buffer.offset, buffer.offset + buffer.bytes);
  }
  std::sort(kept.begin(), kept.end());
  kept.emplace_back(program_.arenaBytes, program_.arenaBytes);
  size_t at = 0;
  for (const auto& [begin, end] : kept) {
    if (begin > at) std::memset(arena_->data() + at, 0xff, begin - at);
    at = std::max(at, end);
  }
}

void Runner::execute(int index, Team& team) {
  const ProgramCall& call = program_.calls[static_cast<size_t>(index)];
  const BoundCall& bound = bound_[static_cast<size_t>(index)];
  const auto run = [&] {
    call.kernel(Call{bound.inputs.data(), bound.inputs.size(), bound.outputs.data(), bound.outputs.size(),
                     *call.attributes, bound.workspace, bound.workspaceBytes, team});
  };
  try {
    if (options_.guard) {
      Guard guard(*this, call);
      run();
      guard.check();
    } else {
      run();
    }
  } catch (const std::exception& error) {
    throw std::runtime_error(place(call) + ": " + error.what());
  }
}

bool Runner::finite(int index) const {
  for (const Tensor& tensor : bound_[static_cast<size_t>(index)].outputs) {
    if (!tensor) continue;
    if (tensor.dtype == DType::float32 && !allFinite<uint32_t>(tensor.data, tensor.count(), 0x7f800000)) return false;
    if (tensor.dtype == DType::bfloat16 && !allFinite<uint16_t>(tensor.data, tensor.count(), 0x7f80)) return false;
  }
  return true;
}

bool Runner::runCall(int call, Team& team, const RunRequest& request, RunResult& result,
                     std::vector<CallTime>* times) {
  const double start = times ? now() : 0;
  execute(call, team);
  if (times) times->push_back({call, start, now() - start});
  if (request.check && !finite(call)) {
    result.nonFinite = call;
    return false;
  }
  return true;
}

bool Runner::runGroup(const ScheduleItem& item, const RunRequest& request, RunResult& result) {
  const size_t count = item.lanes.size();
  std::vector<std::vector<CallTime>> calls(count);
  const auto runLane = [&](size_t lane, Team& team) {
    for (const int call : item.lanes[lane].calls) {
      if (!runCall(call, team, request, result, request.profile ? &calls[lane] : nullptr)) return false;
    }
    return true;
  };
  LaneTimes times{item.group, 0, std::vector<LaneUse>(count)};
  const double start = now();
  bool fine = true;
  if (request.check || options_.guard) {
    // One lane after the other: both aids need to know who wrote what, and when.
    for (size_t lane = 0; fine && lane < count; lane++) {
      const double begun = now();
      fine = runLane(lane, pool_->everyone());
      times.lanes[lane].busy = times.lanes[lane].work = now() - begun;
    }
  } else {
    std::vector<int> threads;
    for (const ProgramLane& lane : item.lanes) threads.push_back(lane.threads);
    times.lanes = pool_->runLanes(threads, [&](int lane, Team& team) { runLane(static_cast<size_t>(lane), team); });
  }
  times.seconds = now() - start;
  result.lanes.push_back(std::move(times));
  for (const auto& lane : calls) result.calls.insert(result.calls.end(), lane.begin(), lane.end());
  return fine;
}

RunResult Runner::run(const RunRequest& request) {
  const DenormalsAreZero denormalsAreZero;
  if (options_.poison) poisonArena();
  RunResult result;
  started_ = secondsNow();
  for (const ScheduleItem& item : program_.schedule) {
    const bool fine = item.lanes.empty() ? runCall(item.call, pool_->everyone(), request, result,
                                                   request.profile ? &result.calls : nullptr)
                                         : runGroup(item, request, result);
    if (!fine) break;
  }
  result.seconds = now();
  std::stable_sort(result.calls.begin(), result.calls.end(),
                   [](const CallTime& a, const CallTime& b) { return a.start < b.start; });
  return result;
}

}  // namespace braid
