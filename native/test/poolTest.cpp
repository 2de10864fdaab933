#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>

#include "../core/pool.hpp"
#include "tests.hpp"

namespace braid::testing {
namespace {

void runsEveryIndexOnce(int threads) {
  ThreadPool pool(threads);
  for (int round = 0; round < 500; round++) {
    std::vector<int> hits(static_cast<size_t>(threads));
    pool.everyone().run([&](int i) { hits[static_cast<size_t>(i)]++; });
    for (const int count : hits) {
      if (!check(count == 1, "each thread runs once")) return;
    }
    // Long enough for threads to fall asleep now and then.
    if (round % 100 == 99) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void splitsCompletely(int threads) {
  ThreadPool pool(threads);
  for (const int64_t count : {0, 1, 2, 7, 64, 1000}) {
    for (const int64_t grain : {1, 16, 100}) {
      std::vector<int> hits(static_cast<size_t>(count));
      std::atomic<bool> aligned{true};
      pool.everyone().split(count, grain, [&](int64_t begin, int64_t end, int) {
        if (begin % grain != 0) aligned = false;
        for (int64_t i = begin; i < end; i++) hits[static_cast<size_t>(i)]++;
      });
      const bool once = std::all_of(hits.begin(), hits.end(), [](int h) { return h == 1; });
      check(once && aligned, "split of " + std::to_string(count) + " by " + std::to_string(grain));
    }
  }
}

void lanesRunSideBySide() {
  ThreadPool pool(4);
  for (int round = 0; round < 200; round++) {
    std::atomic<int> started{0};
    std::vector<int> sums(3);
    const std::vector<int> sizes = {1, 2, 1};
    pool.runLanes(sizes, [&](int lane, Team& team) {
      // Ends only when all lanes have begun: they cannot have been run one after the other.
      started++;
      while (started.load() < 3) std::this_thread::yield();
      for (int call = 0; call < 20; call++) {
        std::atomic<int> sum{0};
        team.run([&](int i) { sum += i + 1; });
        sums[static_cast<size_t>(lane)] += sum.load() + 10 * team.size();
      }
    });
    if (!check(sums == std::vector<int>{1000, 1000, 1000}, "a lane has as many pieces as the pool has threads")) return;
  }
}

// A lane that is done helps: both pieces of a call of the other are begun before either ends.
void doneLanesHelp() {
  ThreadPool pool(2);
  for (const int last : {0, 1}) {
    bool together = true;
    const std::vector<LaneUse> uses = pool.runLanes({1, 1}, [&](int lane, Team& team) {
      if (lane != last) return;
      for (int call = 0; call < 50 && together; call++) {
        std::atomic<int> begun{0};
        const double start = secondsNow();
        team.run([&](int) {
          begun++;
          while (begun.load() < 2 && secondsNow() - start < 10) std::this_thread::yield();
        });
        together = begun.load() == 2 && secondsNow() - start < 10;
        // Long enough for the helper to fall asleep now and then.
        if (call % 20 == 19) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    });
    check(together, "a lane that is done helps the other");
    const LaneUse &slow = uses[static_cast<size_t>(last)], &quick = uses[static_cast<size_t>(1 - last)];
    check(quick.busy > quick.work && slow.work > slow.busy, "help counts as busy time of who gives it, as work of who gets it");
  }
}

void lanesKeepScratchApart() {
  ThreadPool pool(2);
  std::vector<std::byte*> places(4);
  pool.runLanes({1, 1}, [&](int lane, Team& team) {
    for (int i = 0; i < 2; i++) places[static_cast<size_t>(2 * lane + i)] = team.scratch(i, 1000);
  });
  std::sort(places.begin(), places.end());
  check(std::unique(places.begin(), places.end()) == places.end(), "every piece of every lane has scratch of its own");
}

void errorsOfLanesReachTheCaller() {
  ThreadPool pool(3);
  for (int round = 0; round < 50; round++) {
    int ended = 0;
    const std::string message = thrown("a failing lane", [&] {
      pool.runLanes({1, 1, 1}, [&](int lane, Team& team) {
        if (lane == 0) {
          ended++;
          return;
        }
        team.run([&](int i) {
          if (i >= 1) throw std::runtime_error("lane " + std::to_string(lane) + ", piece " + std::to_string(i));
        });
      });
    });
    if (!check(message == "lane 1, piece 1" && ended == 1, "the error of the first piece of the first lane wins")) return;
  }
}

void errorsReachTheCaller() {
  ThreadPool pool(3);
  for (int round = 0; round < 50; round++) {
    const std::string message = thrown("a failing task", [&] {
      pool.everyone().run([&](int i) {
        if (i >= 1) throw std::runtime_error("thread " + std::to_string(i));
      });
    });
    if (!check(message == "thread 1", "the error of the lowest thread wins")) return;
  }
  int after = 0;
  pool.everyone().run([&](int i) { if (i == 0) after = 1; });
  check(after == 1, "the pool works after an error");
}

void scratchIsPerThread() {
  ThreadPool pool(3);
  Team& team = pool.everyone();
  std::vector<std::byte*> places(3);
  team.run([&](int i) { places[static_cast<size_t>(i)] = team.scratch(i, 1000); });
  check(places[0] != places[1] && places[1] != places[2], "scratch differs by thread");
  check(team.scratch(0, 500) == places[0], "scratch is kept while it suffices");
  check(team.scratch(0, 500, Scratch::gemm) != places[0], "scratch differs by kind");
  check(reinterpret_cast<uintptr_t>(team.scratch(1, size_t{9} << 20)) % 64 == 0, "scratch is aligned");
}

}  // namespace

void testPool() {
  for (const int threads : {1, 2, 5}) {
    runsEveryIndexOnce(threads);
    splitsCompletely(threads);
  }
  lanesRunSideBySide();
  doneLanesHelp();
  lanesKeepScratchApart();
  errorsOfLanesReachTheCaller();
  errorsReachTheCaller();
  scratchIsPerThread();
}

}  // namespace braid::testing
