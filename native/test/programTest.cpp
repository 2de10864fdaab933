// Reading and running programs, with kernels made up for the purpose.
#include <cmath>
#include <limits>
#include <stdexcept>

#include "../core/runner.hpp"
#include "tests.hpp"

namespace braid::testing {
namespace {

void addOne(const Call& call) {
  const Tensor& x = call.in(0);
  const Tensor& y = call.out(0);
  const float by = call.attributes.has("by") ? static_cast<float>(call.attributes.number("by")) : 1;
  call.team.split(x.count(), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; i++) y.as<float>()[i] = x.as<float>()[i] + by;
  });
}
void overrun(const Call& call) { call.out(0).as<float>()[call.out(0).count() + 16] = 1; }
void notANumber(const Call& call) {
  for (int64_t i = 0; i < call.out(0).count(); i++) call.out(0).as<float>()[i] = i == 2 ? NAN : 0;
}
void refuse(const Call&) { throw std::runtime_error("no such id."); }
void nothing(const Call&) {}

const KernelTable& kernels() {
  static const KernelTable table = {
      {"addOne", addOne}, {"overrun", overrun}, {"notANumber", notANumber}, {"refuse", refuse}, {"nothing", nothing}};
  return table;
}

// in → a → b, with a parameter that takes no part, in an arena of four buffers.
const char* const kBuffers =
    R"([{"role":"input","name":"in","dtype":"float32","shape":[4],"bytes":16,"offset":0},
        {"role":"temporary","name":"","dtype":"float32","shape":[4],"bytes":16,"offset":64},
        {"role":"temporary","name":"","dtype":"float32","shape":[2,2],"bytes":16,"offset":128},
        {"role":"parameter","name":"p","dtype":"bfloat16","shape":[3],"bytes":6},
        {"role":"temporary","name":"","dtype":"float32","shape":[4],"bytes":16,"offset":192}])";

std::string call(const std::string& operation, const std::string& input, const std::string& output,
                 const std::string& attributes = "{}") {
  return R"({"operation":")" + operation + R"(","inputs":[)" + input + R"(],"outputs":[)" + output +
         R"(],"attributes":)" + attributes + R"(,"workspace":null,"path":"layer","flops":0,"bytes":0})";
}

std::string program(const std::string& calls, const std::string& schedule, const std::string& buffers = kBuffers,
                    const std::string& head = R"("version":1,"threads":2)") {
  return "{" + head + R"(,"name":"test","arenaBytes":256,"peakLiveBytes":0,"buffers":)" + buffers + R"(,"calls":[)" +
         calls + R"(],"schedule":[)" + schedule + R"(],"inputs":{"in":0},"outputs":{"a":1,"b":2,"p":3}})";
}

struct Loaded {
  Store store;
  std::shared_ptr<ThreadPool> pool = std::make_shared<ThreadPool>(2);
  Runner runner;
  explicit Loaded(const std::string& json, RunnerOptions options = {})
      : runner(parseProgram(json, kernels()), store, pool, options) {}
  float* floats(int buffer) { return reinterpret_cast<float*>(runner.view(buffer).data); }
};

void runs() {
  Loaded loaded(program(call("addOne", "0", "1") + "," + call("addOne", "1", "2", R"({"by": 10})"),
                        R"({"call":0},{"call":1})"));
  for (int i = 0; i < 4; i++) loaded.floats(0)[i] = static_cast<float>(i);
  const RunResult result = loaded.runner.run({true, false});
  check(loaded.floats(2)[3] == 14, "two calls in order");
  check(result.calls.size() == 2 && result.calls[1].call == 1 && result.seconds > 0, "profile");
  const View p = loaded.runner.view(3);
  check(p.bytes == 6 && loaded.store.find("parameter/p")->memory->data() == p.data, "parameters live in the store");
}

void runsLanes() {
  Loaded loaded(program(call("addOne", "0", "1") + "," + call("addOne", "0", "2") + "," + call("addOne", "2", "4"),
                        R"({"group":"g","lanes":[{"threads":1,"calls":[0]},{"threads":1,"calls":[1,2]}]})"));
  for (const RunRequest request : {RunRequest{true, false}, RunRequest{true, true}}) {
    loaded.floats(0)[0] += 1;
    const RunResult result = loaded.runner.run(request);
    check(loaded.floats(1)[0] == loaded.floats(0)[0] + 1 && loaded.floats(4)[0] == loaded.floats(0)[0] + 2, "lanes");
    check(result.lanes.size() == 1 && result.lanes[0].lanes.size() == 2 && result.lanes[0].group == "g", "lane times");
    check(result.calls.size() == 3, "calls of all lanes are profiled");
  }
}

void watches() {
  const std::string two = R"({"call":0},{"call":1})";
  Loaded nan(program(call("addOne", "0", "1") + "," + call("notANumber", "1", "2"), two));
  check(nan.runner.run({false, true}).nonFinite == 1 && nan.runner.run({}).nonFinite == kNoBuffer, "NaN is found");
  nan.floats(0)[1] = std::numeric_limits<float>::infinity();
  check(nan.runner.run({false, true}).nonFinite == 0, "infinity is found");

  Loaded stray(program(call("overrun", "0", "1"), R"({"call":0})"), {false, true});
  check(contains(thrown("overrun", [&] { stray.runner.run({}); }), "overrun in layer: It wrote outside"), "stray writes");

  Loaded poisoned(program(call("nothing", "0", "1"), R"({"call":0})"), {true, false});
  poisoned.floats(0)[2] = 5;
  poisoned.runner.run({});
  check(std::isnan(poisoned.floats(1)[0]) && poisoned.floats(0)[2] == 5, "all but the inputs is poisoned");

  Loaded refused(program(call("refuse", "0", "1"), R"({"call":0})"));
  check(thrown("refuse", [&] { refused.runner.run({}); }) == "refuse in layer: no such id.", "kernel errors name the layer");

  Store store;
  store.tensor("parameter/p", DType::float32, {3});
  check(contains(thrown("store", [&] {
          Runner(parseProgram(program("", ""), kernels()), store, std::make_shared<ThreadPool>(2), {});
        }), "float32[3], but it is asked for as bfloat16[3]"), "stored tensors of another type");
  check(contains(thrown("threads", [&] {
          Runner(parseProgram(program("", ""), kernels()), store, std::make_shared<ThreadPool>(1), {});
        }), "compiled for 2 threads"), "another number of threads");
}

void rejects() {
  const auto rejected = [](const std::string& json, const std::string& part) {
    const std::string message = thrown(part, [&] { parseProgram(json, kernels()); });
    check(contains(message, "Program rejected") && contains(message, part), "'" + part + "' in: " + message);
  };
  const auto buffer = [](const std::string& text) { return program("", "", "[" + text + "]"); };
  rejected("{", "Not valid JSON");
  rejected(program("", "", kBuffers, R"("version":2,"threads":2)"), "version 2");
  rejected(program("", "", kBuffers, R"("version":1,"threads":0)"), "threads must be");
  rejected(program("", "", kBuffers, R"("version":1)"), "'threads' is missing");
  rejected(buffer(R"({"role":"input","name":"","dtype":"float64","shape":[1],"bytes":8,"offset":0})"), "unknown dtype");
  rejected(buffer(R"({"role":"scratch","name":"","dtype":"int32","shape":[1],"bytes":4,"offset":0})"), "unknown role");
  rejected(buffer(R"({"role":"input","name":"","dtype":"int32","shape":[3],"bytes":4,"offset":0})"), "takes 12 bytes");
  rejected(buffer(R"({"role":"input","name":"","dtype":"int32","shape":[-1],"bytes":4,"offset":0})"), "negative size");
  rejected(buffer(R"({"role":"input","name":"","dtype":"int32","shape":[1],"bytes":4,"offset":4})"), "multiple of 64");
  rejected(buffer(R"({"role":"input","name":"","dtype":"int32","shape":[1],"bytes":4,"offset":256})"), "outside the arena");
  rejected(buffer(R"({"role":"input","name":"","dtype":"int32","shape":[1],"bytes":4})"), "'offset' is missing");
  rejected(buffer(R"({"role":"parameter","name":"","dtype":"int32","shape":[1],"bytes":4})"), "needs a name");
  rejected(buffer(R"({"role":"input","name":"","dtype":"int32","shape":[4294967296,4294967296],"bytes":4,"offset":0})"),
           "too large");
  rejected(program(call("mystery", "0", "1"), R"({"call":0})"), "no kernel 'mystery'");
  rejected(program(call("addOne", "9", "1"), R"({"call":0})"), "input 9 is not below 5");
  rejected(program(call("addOne", "0", "-1"), R"({"call":0})"), "output -1");
  rejected(program(call("addOne", "0", "1"), R"({"call":1})"), "call 1 is not below 1");
  rejected(program(call("addOne", "0", "1"), R"({"call":0},{"call":0})"), "scheduled twice");
  rejected(program(call("addOne", "0", "1"), ""), "never run");
  rejected(program(call("addOne", "0", "1"), R"({"group":"g","lanes":[{"threads":3,"calls":[0]}]})"), "a lane of 3");
  rejected(program(call("addOne", "0", "1"), R"({"group":"g","lanes":[{"threads":2,"calls":[0]},{"threads":1,"calls":[]}]})"),
           "ask for 3 threads");
  rejected(program(call("addOne", "0", "1", R"({"a": {}})"), R"({"call":0})"), "attribute 'a'");
}

}  // namespace

void testProgram() {
  runs();
  runsLanes();
  watches();
  rejects();
}

}  // namespace braid::testing
