// Where a thread waits: on a condition that others change before they call wake(). It spins first, then sleeps.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace braid {

class Seat {
 public:
  template <typename Ready>
  void waitUntil(const Ready& ready) {
    const auto start = std::chrono::steady_clock::now();
    do {
      for (int i = 0; i < kPausesPerLook; i++) {
        if (ready()) return;
        pause();
      }
    } while (std::chrono::steady_clock::now() - start < kSpin);
    std::unique_lock<std::mutex> lock(mutex_);
    // The flag is raised before the last look at the condition, and wakers change the condition before they look at the
    // flag: one of the two always sees the other (both sides are sequentially consistent).
    asleep_.store(true);
    condition_.wait(lock, ready);
    asleep_.store(false);
  }

  void wake() {
    if (!asleep_.load()) return;
    std::lock_guard<std::mutex> lock(mutex_);
    condition_.notify_one();
  }

 private:
  // Long enough for the gaps between the calls of a program, short enough not to heat an idle machine.
  static constexpr std::chrono::microseconds kSpin{100};
  static constexpr int kPausesPerLook = 64;

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable condition_;
};

}  // namespace braid
