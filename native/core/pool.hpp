// The threads of an executor. The thread that runs a program is number 0; the others wait for it, first spinning, then
// asleep. They work as one team, or as lanes.
#pragma once
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "failure.hpp"
#include "lanes.hpp"
#include "memory.hpp"
#include "seat.hpp"
#include "team.hpp"

namespace braid {

class ThreadPool {
 public:
  explicit ThreadPool(int threads, bool tiles = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()); }
  bool hasTiles() const { return tiles_; }

  // All threads.
  Team& everyone() { return everyone_; }

  // Calls lane(i, team) for each i at the same time, on threads[i] threads of its own and on those that have nothing left to do;
  // the sum of `threads` is at most size(). Throws the error of the first lane that failed, after all have ended.
  std::vector<LaneUse> runLanes(const std::vector<int>& threads, const LaneGroup::Body& lane);

 private:
  friend class LaneGroup;

  // One call of a task on several threads. It lives on the caller's stack until all are done.
  struct Round {
    std::atomic<int> pending{0};
    Failure failure;
  };

  struct Worker {
    Seat seat;
    // The job of this thread; `ticket` changes last. Whoever moves `claimed` up to the ticket does the job.
    const Task* task = nullptr;
    Round* round = nullptr;
    std::atomic<uint32_t> ticket{0};
    std::atomic<uint32_t> claimed{0};
    std::atomic<bool> stop{false};

    bool claim(uint32_t job) {
      uint32_t before = job - 1;
      return claimed.compare_exchange_strong(before, job);
    }
  };

  class WholeTeam : public Team {
   public:
    explicit WholeTeam(ThreadPool& pool) : pool_(pool) {}
    int size() const override { return pool_.size(); }
    bool hasTiles() const override { return pool_.tiles_; }
    void run(const Task& task) override { pool_.run(task, pool_.size()); }
    std::byte* scratch(int index, size_t bytes, Scratch kind) override { return pool_.scratch(0, index, bytes, kind); }

   private:
    ThreadPool& pool_;
  };

  Seat& seat(int number) { return workers_[static_cast<size_t>(number)]->seat; }
  // Of one piece of a call in a lane; calls outside of lanes use those of the first.
  std::byte* scratch(int lane, int index, size_t bytes, Scratch kind);
  // Runs task(0) … task(count − 1), each on the thread of that number, or here when that has not begun in time.
  void run(const Task& task, int count);
  void work(int number);

  struct ScratchSet {
    Memory memory[kScratchKinds];
  };

  bool tiles_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  std::vector<std::vector<ScratchSet>> scratch_;  // by lane and piece
  WholeTeam everyone_;
};

}  // namespace braid
