// The error of the lowest index among those that failed, so that a message does not depend on timing.
#pragma once
#include <exception>
#include <mutex>

namespace braid {

class Failure {
 public:
  // Runs body() and keeps what it throws.
  template <typename Body>
  void watch(int index, const Body& body) {
    try {
      body();
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex_);
      if (error_ && index_ < index) return;
      error_ = std::current_exception();
      index_ = index;
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  int index_ = 0;
};

}  // namespace braid
