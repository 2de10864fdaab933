#include "program.hpp"

#include <limits>
#include <stdexcept>

#include "attributes.hpp"
#include "json.hpp"
#include "store.hpp"

namespace braid {
namespace {

constexpr int kVersion = 1;
constexpr size_t kAlignment = 64;

[[noreturn]] void reject(const std::string& where, const std::string& what) {
  throw std::invalid_argument("Program rejected: " + where + ": " + what);
}

// Runs `read` and puts the place in front of whatever it complains about.
template <typename Read>
decltype(auto) within(const std::string& where, const Read& read) {
  try {
    return read();
  } catch (const std::invalid_argument& error) {
    const std::string text = error.what();
    if (text.rfind("Program rejected", 0) == 0) throw;
    reject(where, text);
  }
}

size_t readSize(const Json& object, const char* key) {
  const int64_t value = object.get(key).integer(key);
  if (value < 0) throw std::invalid_argument(std::string(key) + " is negative (" + std::to_string(value) + ").");
  return static_cast<size_t>(value);
}

DType readDType(const std::string& name) {
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::int32}) {
    if (name == nameOf(dtype)) return dtype;
  }
  throw std::invalid_argument("unknown dtype '" + name + "'; known are float32, bfloat16, int32.");
}

bool isPersistentRole(const std::string& role) {
  for (const char* known : {"parameter", "shadow", "gradient", "optimizer", "state"}) {
    if (role == known) return true;
  }
  for (const char* known : {"input", "temporary", "workspace"}) {
    if (role == known) return false;
  }
  throw std::invalid_argument("unknown role '" + role + "'.");
}

size_t contentBytes(DType dtype, const std::vector<int64_t>& shape) {
  size_t bytes = byteSize(dtype);
  for (const int64_t size : shape) {
    if (size < 0) throw std::invalid_argument("negative size in " + describe(dtype, shape) + ".");
    if (size > 0 && bytes > std::numeric_limits<size_t>::max() / 4 / static_cast<size_t>(size)) {
      throw std::invalid_argument(describe(dtype, shape) + " is too large.");
    }
    bytes *= static_cast<size_t>(size);
  }
  return bytes;
}

ProgramBuffer readBuffer(const Json& json, size_t arenaBytes) {
  ProgramBuffer buffer;
  buffer.role = json.get("role").text("role");
  buffer.name = json.get("name").text("name");
  buffer.dtype = readDType(json.get("dtype").text("dtype"));
  buffer.bytes = readSize(json, "bytes");
  buffer.persistent = isPersistentRole(buffer.role);
  for (const Json& size : json.get("shape").array("shape")) buffer.shape.push_back(size.integer("a size of shape"));
  if (buffer.shape.size() > static_cast<size_t>(kMaxRank)) {
    throw std::invalid_argument("more than 8 axes in " + describe(buffer.dtype, buffer.shape) + ".");
  }
  const size_t content = contentBytes(buffer.dtype, buffer.shape);
  if (buffer.role != "workspace" && buffer.bytes != content) {
    throw std::invalid_argument(describe(buffer.dtype, buffer.shape) + " takes " + std::to_string(content) +
                                " bytes, not " + std::to_string(buffer.bytes) + ".");
  }
  buffer.offset = 0;
  if (buffer.persistent) {
    if (buffer.name.empty()) throw std::invalid_argument("a persistent buffer needs a name.");
    return buffer;
  }
  buffer.offset = readSize(json, "offset");
  if (buffer.offset % kAlignment != 0) {
    throw std::invalid_argument("offset " + std::to_string(buffer.offset) + " is not a multiple of 64.");
  }
  if (buffer.offset > arenaBytes || buffer.bytes > arenaBytes - buffer.offset) {
    throw std::invalid_argument("bytes " + std::to_string(buffer.offset) + " to " +
                                std::to_string(buffer.offset + buffer.bytes) + " lie outside the arena of " +
                                std::to_string(arenaBytes) + " bytes.");
  }
  return buffer;
}

int readIndex(const Json& json, size_t count, const char* what) {
  const int64_t index = json.integer(what);
  if (index < 0 || static_cast<size_t>(index) >= count) {
    throw std::invalid_argument(std::string(what) + " " + std::to_string(index) + " is not below " +
                                std::to_string(count) + ".");
  }
  return static_cast<int>(index);
}

int readOptionalIndex(const Json& json, size_t count, const char* what) {
  return json.isNull() ? kNoBuffer : readIndex(json, count, what);
}

ProgramCall readCall(const Json& json, size_t bufferCount, const KernelTable& kernels) {
  ProgramCall call;
  call.operation = json.get("operation").text("operation");
  call.path = json.get("path").text("path");
  const auto kernel = kernels.find(call.operation);
  if (kernel == kernels.end()) throw std::invalid_argument("there is no kernel '" + call.operation + "'.");
  call.kernel = kernel->second;
  for (const Json& index : json.get("inputs").array("inputs")) {
    call.inputs.push_back(readOptionalIndex(index, bufferCount, "input"));
  }
  for (const Json& index : json.get("outputs").array("outputs")) {
    call.outputs.push_back(readOptionalIndex(index, bufferCount, "output"));
  }
  const Json* workspace = json.find("workspace");
  call.workspace = workspace == nullptr ? kNoBuffer : readOptionalIndex(*workspace, bufferCount, "workspace");
  call.attributes = readAttributes(json.get("attributes"));
  return call;
}

// Marks a call as scheduled; none may be scheduled twice.
int schedule(const Json& json, std::vector<bool>& scheduled) {
  const int call = readIndex(json, scheduled.size(), "call");
  if (scheduled[static_cast<size_t>(call)]) {
    throw std::invalid_argument("call " + std::to_string(call) + " is scheduled twice.");
  }
  scheduled[static_cast<size_t>(call)] = true;
  return call;
}

ScheduleItem readScheduleItem(const Json& json, int threads, std::vector<bool>& scheduled) {
  ScheduleItem item;
  item.call = kNoBuffer;
  if (const Json* call = json.find("call")) {
    item.call = schedule(*call, scheduled);
    return item;
  }
  item.group = json.get("group").text("group");
  int64_t total = 0;
  for (const Json& laneJson : json.get("lanes").array("lanes")) {
    ProgramLane lane;
    const int64_t count = laneJson.get("threads").integer("threads");
    if (count < 1 || count > threads) {
      throw std::invalid_argument("a lane of " + std::to_string(count) + " threads in a program of " +
                                  std::to_string(threads) + ".");
    }
    lane.threads = static_cast<int>(count);
    total += count;
    for (const Json& call : laneJson.get("calls").array("calls")) lane.calls.push_back(schedule(call, scheduled));
    item.lanes.push_back(std::move(lane));
  }
  if (item.lanes.empty()) throw std::invalid_argument("group '" + item.group + "' has no lanes.");
  if (total > threads) {
    throw std::invalid_argument("the lanes of group '" + item.group + "' ask for " + std::to_string(total) +
                                " threads; the program has " + std::to_string(threads) + ".");
  }
  return item;
}

std::map<std::string, int> readNames(const Json& json, const char* key, size_t bufferCount) {
  std::map<std::string, int> names;
  for (const auto& [name, index] : json.get(key).object(key)) names[name] = readIndex(index, bufferCount, "buffer");
  return names;
}

}  // namespace

Program parseProgram(std::string_view text, const KernelTable& kernels) {
  const Json json = within("text", [&] { return Json::parse(text); });
  Program program;
  within("header", [&] {
    const int64_t version = json.get("version").integer("version");
    if (version != kVersion) {
      throw std::invalid_argument("version " + std::to_string(version) + " was compiled for another native build, which reads " +
                                  std::to_string(kVersion) + ". Rebuild the addon.");
    }
    const int64_t threads = json.get("threads").integer("threads");
    if (threads < 1 || threads > 1024) {
      throw std::invalid_argument("threads must be 1 to 1024, not " + std::to_string(threads) + ".");
    }
    program.threads = static_cast<int>(threads);
    program.arenaBytes = readSize(json, "arenaBytes");
    if (program.arenaBytes > (size_t{1} << 46)) throw std::invalid_argument("arenaBytes is beyond any machine.");
  });
  size_t index = 0;
  for (const Json& buffer : within("buffers", [&]() -> auto& { return json.get("buffers").array("buffers"); })) {
    program.buffers.push_back(
        within("buffer " + std::to_string(index), [&] { return readBuffer(buffer, program.arenaBytes); }));
    index++;
  }
  index = 0;
  for (const Json& call : within("calls", [&]() -> auto& { return json.get("calls").array("calls"); })) {
    program.calls.push_back(within("call " + std::to_string(index),
                                   [&] { return readCall(call, program.buffers.size(), kernels); }));
    index++;
  }
  std::vector<bool> scheduled(program.calls.size());
  index = 0;
  for (const Json& item : within("schedule", [&]() -> auto& { return json.get("schedule").array("schedule"); })) {
    program.schedule.push_back(within("schedule " + std::to_string(index),
                                      [&] { return readScheduleItem(item, program.threads, scheduled); }));
    index++;
  }
  for (size_t call = 0; call < scheduled.size(); call++) {
    if (!scheduled[call]) reject("schedule", "call " + std::to_string(call) + " is never run.");
  }
  within("names", [&] {
    program.inputs = readNames(json, "inputs", program.buffers.size());
    program.outputs = readNames(json, "outputs", program.buffers.size());
  });
  return program;
}

}  // namespace braid
