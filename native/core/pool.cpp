#include "pool.hpp"

#include "denormals.hpp"

namespace braid {
namespace {

constexpr size_t kScratchStep = size_t{1} << 16;

}  // namespace

ThreadPool::ThreadPool(int threads, bool tiles) : tiles_(tiles), everyone_(*this) {
  for (int i = 0; i < threads; i++) workers_.push_back(std::make_unique<Worker>());
  scratch_.emplace_back(workers_.size());
  for (int i = 1; i < threads; i++) threads_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  for (auto& worker : workers_) {
    worker->stop.store(true);
    worker->seat.wake();
  }
  for (auto& thread : threads_) thread.join();
}

void ThreadPool::work(int number) {
  const DenormalsAreZero denormalsAreZero;
  Worker& self = *workers_[static_cast<size_t>(number)];
  Seat& caller = seat(0);
  uint32_t seen = 0;
  for (;;) {
    self.seat.waitUntil([&] { return self.ticket.load() != seen || self.stop.load(); });
    if (self.ticket.load() == seen) return;
    seen = self.ticket.load();
    if (!self.claim(seen)) continue;
    Round& round = *self.round;
    round.failure.watch(number, [&] { (*self.task)(number); });
    // After this the round may be gone; the caller's seat is not.
    if (round.pending.fetch_sub(1) == 1) caller.wake();
  }
}

void ThreadPool::run(const Task& task, int count) {
  Round round;
  round.pending.store(count - 1);
  for (int i = 1; i < count; i++) {
    Worker& worker = *workers_[static_cast<size_t>(i)];
    worker.task = &task;
    worker.round = &round;
    worker.ticket.fetch_add(1);
    worker.seat.wake();
  }
  round.failure.watch(0, [&] { task(0); });
  // On a busy machine a thread may not be scheduled for milliseconds; a piece is the same whoever does it.
  for (int i = 1; i < count; i++) {
    Worker& worker = *workers_[static_cast<size_t>(i)];
    if (!worker.claim(worker.ticket.load())) continue;
    round.failure.watch(i, [&] { task(i); });
    round.pending.fetch_sub(1);
  }
  if (count > 1) seat(0).waitUntil([&] { return round.pending.load() == 0; });
  round.failure.rethrow();
}

std::vector<LaneUse> ThreadPool::runLanes(const std::vector<int>& threads, const LaneGroup::Body& lane) {
  while (scratch_.size() < threads.size()) scratch_.emplace_back(workers_.size());
  LaneGroup group(*this, threads, lane);
  const auto enter = [&](int seat) { group.enter(seat); };
  run(Task(enter), group.seats());
  return group.finish();
}

std::byte* ThreadPool::scratch(int lane, int index, size_t bytes, Scratch kind) {
  ScratchSet& set = scratch_[static_cast<size_t>(lane)][static_cast<size_t>(index)];
  Memory& memory = set.memory[static_cast<int>(kind)];
  if (memory.bytes() < bytes) {
    memory = Memory();  // give back first: the old content need not survive
    memory = Memory((bytes + kScratchStep - 1) / kScratchStep * kScratchStep);
  }
  return memory.data();
}

}  // namespace braid
