// A team is what a kernel runs on: a number of pieces into which it cuts its work, each done by some thread. All partitions
// depend on sizes and team size only, so that the same program gives the same bits; which thread does which piece may
// differ, and one thread may do several: in a lane there are as many pieces as the pool has threads, however many of them
// take part. `thread` is the number of such a piece, here and in the kernels.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace braid {

// A borrowed callable `void(int)`: no allocation, valid during the call only.
class Task {
 public:
  template <typename F>
  Task(const F& f) : object_(&f), call_([](const void* o, int i) { (*static_cast<const F*>(o))(i); }) {}
  void operator()(int index) const { call_(object_, index); }

 private:
  const void* object_;
  void (*call_)(const void*, int);
};

// Who owns a piece of scratch memory: one kernel may use its own while a matrix product it calls uses another.
enum class Scratch : uint8_t { kernel, gemm, gemmShared };
constexpr int kScratchKinds = 3;

class Team {
 public:
  virtual ~Team() = default;
  virtual int size() const = 0;

  // Whether kernels may use the matrix unit of the CPU (see variants.hpp).
  virtual bool hasTiles() const = 0;

  // Memory of one piece, 64-byte aligned, not cleared. It stays valid until the same piece asks for more of the same
  // kind, and its content does not outlive the call. Pieces may ask at the same time, each for its own.
  virtual std::byte* scratch(int thread, size_t bytes, Scratch kind = Scratch::kernel) = 0;

  // Runs task(0) … task(size() − 1), each once and in any order, and returns when all are done.
  virtual void run(const Task& task) = 0;

  // Splits [0, count) into size() contiguous pieces (multiples of `grain` but for the last) and runs
  // body(begin, end, thread) for each non-empty one.
  template <typename Body>
  void split(int64_t count, int64_t grain, const Body& body) {
    const int64_t units = (count + grain - 1) / grain;
    const int threads = size();
    if (units <= 1 || threads == 1) {
      if (count > 0) body(int64_t{0}, count, 0);
      return;
    }
    run([&](int thread) {
      const int64_t begin = units * thread / threads * grain;
      int64_t end = units * (thread + 1) / threads * grain;
      if (end > count) end = count;
      if (begin < end) body(begin, end, thread);
    });
  }

  // Runs body(begin, end, thread) for [0, count) in pieces of `grain` (but for the last), each by the thread that is free
  // next: threads are not equally fast where cores differ or others use them. For pieces whose results do not depend on
  // who computes them; sums over a thread's pieces belong into split().
  template <typename Body>
  void share(int64_t count, int64_t grain, const Body& body) {
    const int64_t pieces = (count + grain - 1) / grain;
    std::atomic<int64_t> next{0};
    const auto work = [&](int thread) {
      for (int64_t piece; (piece = next.fetch_add(1, std::memory_order_relaxed)) < pieces;) {
        const int64_t begin = piece * grain, end = begin + grain < count ? begin + grain : count;
        body(begin, end, thread);
      }
    };
    if (pieces <= 1 || size() == 1) work(0);
    else run(work);
  }
};

}  // namespace braid
