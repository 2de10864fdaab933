// Lanes: parts of a program that run at the same time. Every lane has threads of its own, of which the first leads: it goes
// through the lane's calls, and the others do pieces of each. Threads whose own lane is done help the others. So that this
// changes no bit, the team of a lane has as many pieces as the pool has threads, however many of them take part.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "failure.hpp"
#include "seat.hpp"
#include "team.hpp"

namespace braid {

class ThreadPool;

double secondsNow();

// The pieces of the call that a lane is at, open to whoever is free.
class Board {
 public:
  // Runs task(0) … task(count − 1) and returns when all are done: what no one else takes is done here. `opened` is called when
  // the pieces can be had. Gives the seconds spent waiting for others.
  template <typename Opened>
  double run(const Task& task, int count, Seat& leader, const Opened& opened) {
    Failure failure;
    task_ = &task;
    failure_ = &failure;
    leader_ = &leader;
    pending_.store(count);
    round_++;
    open_.store(uint64_t{round_} << 32 | static_cast<uint32_t>(count));
    opened();
    while (doOne()) continue;
    double waited = 0;
    if (pending_.load() > 0) {
      const double start = secondsNow();
      leader.waitUntil([&] { return pending_.load() == 0; });
      waited = secondsNow() - start;
    }
    failure.rethrow();
    return waited;
  }

  bool isOpen() const { return static_cast<uint32_t>(open_.load()) > 0; }

  // Does one piece, or nothing when none is left.
  bool doOne();

 private:
  std::atomic<uint64_t> open_{0};  // the round above, the number of pieces that nobody has begun below
  std::atomic<int> pending_{0};    // pieces that are not done
  // Of the round, written before its pieces are opened; they stay until the last of them is done.
  const Task* task_ = nullptr;
  Failure* failure_ = nullptr;
  Seat* leader_ = nullptr;
  uint32_t round_ = 0;
};

// What became of a lane's threads and of its calls, in seconds per thread of the lane.
struct LaneUse {
  double busy = 0;  // its threads at work, on its own calls and on those of others
  double work = 0;  // its calls, whoever did them
};

// One group of lanes while it runs.
class LaneGroup {
 public:
  // Goes through the calls of a lane.
  using Body = std::function<void(int lane, Team& team)>;
  LaneGroup(ThreadPool& pool, const std::vector<int>& threads, Body body);

  // What thread `seat` of the group does until all lanes are done.
  void enter(int seat);

  int seats() const { return static_cast<int>(laneOf_.size()); }
  // When all have left. Throws the error of the first lane that failed.
  std::vector<LaneUse> finish() const;

 private:
  struct Lane {
    int threads = 0;
    std::atomic<bool> begun{false};
    std::atomic<bool> done{false};
    Board board;
  };
  class LaneTeam;

  void lead(int lane, int seat);
  // Whether a thread that is free may work for a lane: its own has precedence until it is done.
  bool mayHelp(int seat, int lane) const;
  bool findsWork(int seat) const;
  void help(int seat);
  void wakeHelpers(int leader, int lane);
  size_t given(int seat, int lane) const { return static_cast<size_t>(seat) * lanes_.size() + static_cast<size_t>(lane); }

  ThreadPool& pool_;
  Body body_;
  std::vector<int> laneOf_;  // by seat; the first seat of a lane is its leader's
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::atomic<int> remaining_;  // lanes that are not done
  std::vector<double> given_;   // by given(): seconds that a seat has worked for a lane, leading it or helping
  Failure failure_;
};

}  // namespace braid
