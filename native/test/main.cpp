// Tests of native/core and of the matrix product, without Node, so that sanitizers can watch. `run` runs all, `run gemm` one.
#include <chrono>

#include "tests.hpp"

int main(int argc, char** argv) {
  using namespace braid::testing;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "bench") return bench({arguments.begin() + 1, arguments.end()});
  const std::vector<std::pair<const char*, void (*)()>> tests = {
      {"json", testJson}, {"pool", testPool}, {"math", testMath}, {"program", testProgram}, {"gemm", testGemm}};
  int ran = 0;
  for (const auto& [name, test] : tests) {
    if (!arguments.empty() && arguments[0] != name) continue;
    ran++;
    const int before = failures();
    const auto begin = std::chrono::steady_clock::now();
    test();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::printf("%s %s (%.1f s)\n", failures() == before ? "ok     " : "FAILED ", name, seconds);
  }
  if (ran == 0) std::fprintf(stderr, "There is no test '%s'.\n", arguments[0].c_str());
  return failures() == 0 && ran > 0 ? 0 : 1;
}
