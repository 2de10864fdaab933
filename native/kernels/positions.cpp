// Moving positions: routing of tokens to branches, and caches that grow.
#include <cstring>
#include <stdexcept>
#include <string>

#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Bytes of everything at one position of a tensor [B, L, …].
size_t positionBytes(const Tensor& t) {
  size_t bytes = byteSize(t.dtype);
  for (int axis = 2; axis < t.rank; axis++) bytes *= static_cast<size_t>(t.shape[axis]);
  return bytes;
}

int64_t positionCount(const std::vector<int64_t>& ranges) {
  int64_t count = 0;
  for (size_t r = 0; r < ranges.size(); r += 2) count += ranges[r + 1] - ranges[r];
  return count;
}

// Copies the ranges of every row between the part and the whole sequence. Every thread takes a share of each range.
void moveRanges(Team& team, const std::vector<int64_t>& ranges, const Tensor& whole, const Tensor& part, bool toPart) {
  const size_t bytes = positionBytes(whole);
  const int64_t batch = whole.shape[0], length = whole.shape[1], count = positionCount(ranges);
  const int64_t grain = rowGrain(static_cast<int64_t>(bytes));
  for (int64_t b = 0; b < batch; b++) {
    std::byte* wholeRow = whole.as<std::byte>() + static_cast<size_t>(b * length) * bytes;
    std::byte* partRow = part.as<std::byte>() + static_cast<size_t>(b * count) * bytes;
    team.split(count, grain, [&](int64_t begin, int64_t end, int) {
      int64_t at = 0;  // position in the part at which the range starts
      for (size_t r = 0; r < ranges.size(); r += 2) {
        const int64_t size = ranges[r + 1] - ranges[r];
        const int64_t first = begin > at ? begin : at;
        const int64_t last = end < at + size ? end : at + size;
        if (first < last) {
          std::byte* a = partRow + static_cast<size_t>(first) * bytes;
          std::byte* w = wholeRow + static_cast<size_t>(ranges[r] + first - at) * bytes;
          const size_t n = static_cast<size_t>(last - first) * bytes;
          toPart ? std::memcpy(a, w, n) : std::memcpy(w, a, n);
        }
        at += size;
      }
    });
  }
}

void splitPositions(const Call& call) {
  const auto& ranges = call.attributes.ranges("ranges");
  for (size_t i = 0; i < call.outputCount; i++) {
    if (call.out(i)) moveRanges(call.team, ranges[i], call.in(0), call.out(i), true);
  }
}

void mergePositions(const Call& call) {
  const Tensor& x = call.out(0);
  if (!x) return;
  const auto& ranges = call.attributes.ranges("ranges");
  int64_t covered = 0;
  for (const auto& part : ranges) covered += positionCount(part);
  if (covered < x.shape[1]) std::memset(x.data, 0, static_cast<size_t>(x.count()) * byteSize(x.dtype));
  for (size_t i = 0; i < call.inputCount; i++) moveRanges(call.team, ranges[i], x, call.in(i), false);
}

void requireRoom(int64_t used, int64_t length, int64_t capacity, int64_t row) {
  if (used >= 0 && used + length <= capacity) return;
  throw std::runtime_error("append: row " + std::to_string(row) + " of the cache holds " + std::to_string(used) +
                           " of " + std::to_string(capacity) + " positions; " + std::to_string(length) +
                           " more do not fit. Make the cache larger before you run the step.");
}

void append(const Call& call) {
  const Tensor &cache = call.in(0), &fresh = call.in(1), &y = call.out(0);
  if (!y) return;
  const int32_t* used = call.in(2).as<const int32_t>();
  const int64_t capacity = cache.shape[1], length = fresh.shape[1];
  for (int64_t b = 0; b < cache.shape[0]; b++) requireRoom(used[b], length, capacity, b);
  if (y.data != cache.data) std::memcpy(y.data, cache.data, static_cast<size_t>(y.count()) * byteSize(y.dtype));
  const size_t bytes = positionBytes(cache);
  for (int64_t b = 0; b < cache.shape[0]; b++) {
    std::memcpy(y.as<std::byte>() + static_cast<size_t>(b * capacity + used[b]) * bytes,
                fresh.as<const std::byte>() + static_cast<size_t>(b * length) * bytes,
                static_cast<size_t>(length) * bytes);
  }
}

void appendBackward(const Call& call) {
  const Tensor &dy = call.in(0), &dCache = call.out(0), &dFresh = call.out(1);
  const int32_t* used = call.in(1).as<const int32_t>();
  const int64_t capacity = dy.shape[1], length = call.attributes.integer("length");
  const size_t bytes = positionBytes(dy), piece = static_cast<size_t>(length) * bytes;
  for (int64_t b = 0; b < dy.shape[0]; b++) {
    requireRoom(used[b], length, capacity, b);
    const size_t row = static_cast<size_t>(b * capacity) * bytes;
    const size_t written = row + static_cast<size_t>(used[b]) * bytes;
    if (dFresh) {
      std::memcpy(dFresh.as<std::byte>() + static_cast<size_t>(b) * piece, dy.as<const std::byte>() + written, piece);
    }
    if (dCache) {
      std::memcpy(dCache.as<std::byte>() + row, dy.as<const std::byte>() + row, static_cast<size_t>(capacity) * bytes);
      std::memset(dCache.as<std::byte>() + written, 0, piece);
    }
  }
}

void advance(const Call& call) {
  const int32_t* used = call.in(0).as<const int32_t>();
  const int32_t by = static_cast<int32_t>(call.attributes.integer("by"));
  const bool bounded = call.attributes.has("most");
  const int32_t most = bounded ? static_cast<int32_t>(call.attributes.integer("most")) : 0;
  if (!call.out(0)) return;
  for (int64_t b = 0; b < call.in(0).count(); b++) {
    const int32_t next = used[b] + by;
    call.out(0).as<int32_t>()[b] = bounded && next > most ? most : next;
  }
}

}  // namespace

void registerPositions(KernelTable& table) {
  table.emplace("splitPositions", splitPositions);
  table.emplace("mergePositions", mergePositions);
  table.emplace("append", append);
  table.emplace("appendBackward", appendBackward);
  table.emplace("advance", advance);
}

}  // namespace braid::BRAID_VARIANT
