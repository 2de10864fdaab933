// A handful of helpers: checks that count, and a list of tests by name.
#pragma once
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace braid::testing {

inline int& failures() {
  static int count = 0;
  return count;
}

inline bool check(bool holds, const std::string& what) {
  if (!holds) {
    failures()++;
    std::fprintf(stderr, "  FAILED: %s\n", what.c_str());
  }
  return holds;
}

// The message of what `body` throws; empty, and a failure, when it throws nothing.
inline std::string thrown(const std::string& what, const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    return error.what();
  }
  check(false, what + " should have thrown");
  return "";
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace braid::testing
