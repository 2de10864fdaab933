// The threads of an executor. The thread that runs a program is number 0; the others wait for it, first spinning, then
// asleep. Teams are ranges of these threads; teams that share no thread may work at the same time.
#pragma once
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "memory.hpp"
#include "team.hpp"

namespace braid {

class ThreadPool {
 public:
  explicit ThreadPool(int threads, bool tiles = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(seats_.size()); }

  // All threads.
  Team& everyone();

  // Calls lane(i, team) for each i at the same time, on a team of threads[i] threads; the sum of `threads` is at most size().
  template <typename Lane>
  void runLanes(const std::vector<int>& threads, const Lane& lane) {
    // A task only borrows what it calls, so that needs a name.
    const auto runLane = [&](int index) {
      RangeTeam team(*this, first(threads, index), threads[static_cast<size_t>(index)]);
      lane(index, team);
    };
    const Task task(runLane);
    std::vector<int> leaders;
    for (int i = 0; i < static_cast<int>(threads.size()); i++) leaders.push_back(first(threads, i));
    runOn(leaders.data(), static_cast<int>(leaders.size()), task, Late::waitFor);
  }

 private:
  // One call of a task on several threads. It lives on the caller's stack until all are done.
  struct Round {
    std::atomic<int> pending{0};
    std::mutex mutex;
    std::exception_ptr error;  // of the lowest index that failed, so that the message does not depend on timing
    int errorIndex = 0;
    void fail(int index);
  };

  // Where a thread waits: on a condition that others change before they call wake().
  struct Seat {
    std::atomic<bool> asleep{false};
    std::mutex mutex;
    std::condition_variable condition;
    // The job of this thread; `ticket` changes last. Whoever moves `claimed` up to the ticket does the job.
    const Task* task = nullptr;
    int index = 0;
    Round* round = nullptr;
    int waiter = 0;  // seat of the thread that waits for the round
    std::atomic<uint32_t> ticket{0};
    std::atomic<uint32_t> claimed{0};
    std::atomic<bool> stop{false};
    Memory scratch[kScratchKinds];

    template <typename Ready>
    void waitUntil(const Ready& ready);
    void wake();
    bool claim(uint32_t job) {
      uint32_t before = job - 1;
      return claimed.compare_exchange_strong(before, job);
    }
  };

  // What the caller does about threads that have not begun when it is done itself. Pieces of a kernel are done in their
  // place: on a busy machine a thread may not be scheduled for milliseconds, and a piece is the same whoever does it.
  // Lanes have teams of their own threads, so they are waited for.
  enum class Late { takeOver, waitFor };

  class RangeTeam : public Team {
   public:
    RangeTeam(ThreadPool& pool, int firstSeat, int count) : pool_(pool), first_(firstSeat), count_(count) {}
    int size() const override { return count_; }
    bool hasTiles() const override { return pool_.tiles_; }
    void run(const Task& task) override;
    std::byte* scratch(int thread, size_t bytes, Scratch kind) override;

   private:
    ThreadPool& pool_;
    int first_;
    int count_;
  };

  static int first(const std::vector<int>& threads, int lane);
  // seats[0] is the calling thread.
  void runOn(const int* seats, int count, const Task& task, Late late);
  void work(int seat);

  bool tiles_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<std::thread> threads_;
  RangeTeam everyone_;
};

}  // namespace braid
