// A team is the share of the thread pool on which a kernel runs. All partitions depend on sizes and team size only, so
// that the same program on the same number of threads gives the same bits.
#pragma once
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

  // Memory of one thread of the team, 64-byte aligned, not cleared. It stays valid until the same thread asks for more
  // of the same kind, and its content does not outlive the call. Threads may ask at the same time, each for its own.
  virtual std::byte* scratch(int thread, size_t bytes, Scratch kind = Scratch::kernel) = 0;

  // Runs task(0) … task(size() − 1), one on each thread, and returns when all are done.
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
};

}  // namespace braid
