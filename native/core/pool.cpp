#include "pool.hpp"

#include <chrono>

#include "denormals.hpp"

namespace braid {
namespace {

// Long enough for the gaps between the calls of a program, short enough not to heat an idle machine.
constexpr std::chrono::microseconds kSpin{100};
constexpr int kPausesPerLook = 64;
constexpr size_t kScratchStep = size_t{1} << 16;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

template <typename Ready>
void ThreadPool::Seat::waitUntil(const Ready& ready) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kPausesPerLook; i++) {
      if (ready()) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() - start < kSpin);
  std::unique_lock<std::mutex> lock(mutex);
  // The flag is raised before the last look at the condition, and wakers change the condition before they look at the
  // flag: one of the two always sees the other (both sides are sequentially consistent).
  asleep.store(true);
  condition.wait(lock, ready);
  asleep.store(false);
}

void ThreadPool::Seat::wake() {
  if (!asleep.load()) return;
  std::lock_guard<std::mutex> lock(mutex);
  condition.notify_one();
}

void ThreadPool::Round::fail(int index) {
  std::lock_guard<std::mutex> lock(mutex);
  if (error && errorIndex < index) return;
  error = std::current_exception();
  errorIndex = index;
}

ThreadPool::ThreadPool(int threads, bool tiles) : tiles_(tiles), everyone_(*this, 0, threads) {
  for (int i = 0; i < threads; i++) seats_.push_back(std::make_unique<Seat>());
  for (int i = 1; i < threads; i++) threads_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  for (auto& seat : seats_) {
    seat->stop.store(true);
    seat->wake();
  }
  for (auto& thread : threads_) thread.join();
}

Team& ThreadPool::everyone() { return everyone_; }

int ThreadPool::first(const std::vector<int>& threads, int lane) {
  int seat = 0;
  for (int i = 0; i < lane; i++) seat += threads[static_cast<size_t>(i)];
  return seat;
}

void ThreadPool::work(int number) {
  const DenormalsAreZero denormalsAreZero;
  Seat& seat = *seats_[static_cast<size_t>(number)];
  uint32_t seen = 0;
  for (;;) {
    seat.waitUntil([&] { return seat.ticket.load() != seen || seat.stop.load(); });
    if (seat.ticket.load() == seen) return;
    seen = seat.ticket.load();
    if (!seat.claim(seen)) continue;
    Round& round = *seat.round;
    Seat& waiter = *seats_[static_cast<size_t>(seat.waiter)];
    try {
      (*seat.task)(seat.index);
    } catch (...) {
      round.fail(seat.index);
    }
    // After this the round may be gone; the waiter's seat is not.
    if (round.pending.fetch_sub(1) == 1) waiter.wake();
  }
}

void ThreadPool::runOn(const int* seats, int count, const Task& task, Late late) {
  Round round;
  round.pending.store(count - 1);
  for (int i = 1; i < count; i++) {
    Seat& seat = *seats_[static_cast<size_t>(seats[i])];
    seat.task = &task;
    seat.index = i;
    seat.round = &round;
    seat.waiter = seats[0];
    seat.ticket.fetch_add(1);
    seat.wake();
  }
  const auto doPiece = [&](int index) {
    try {
      task(index);
    } catch (...) {
      round.fail(index);
    }
  };
  doPiece(0);
  for (int i = 1; late == Late::takeOver && i < count; i++) {
    Seat& seat = *seats_[static_cast<size_t>(seats[i])];
    if (!seat.claim(seat.ticket.load())) continue;
    doPiece(i);
    round.pending.fetch_sub(1);
  }
  if (count > 1) {
    seats_[static_cast<size_t>(seats[0])]->waitUntil([&] { return round.pending.load() == 0; });
  }
  if (round.error) std::rethrow_exception(round.error);
}

void ThreadPool::RangeTeam::run(const Task& task) {
  if (count_ == 1) {
    task(0);
    return;
  }
  constexpr int kMost = 1024;
  int seats[kMost];
  for (int i = 0; i < count_; i++) seats[i] = first_ + i;
  pool_.runOn(seats, count_, task, Late::takeOver);
}

std::byte* ThreadPool::RangeTeam::scratch(int thread, size_t bytes, Scratch kind) {
  Memory& memory = pool_.seats_[static_cast<size_t>(first_ + thread)]->scratch[static_cast<int>(kind)];
  if (memory.bytes() < bytes) {
    memory = Memory();  // give back first: the old content need not survive
    memory = Memory((bytes + kScratchStep - 1) / kScratchStep * kScratchStep);
  }
  return memory.data();
}

}  // namespace braid
