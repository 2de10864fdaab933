// Caches that keep the first entries of a row and a ring of the last ones: the operation `slide` of docs/operations.md, and
// its gradient. Entries are moved whole, whatever they hold.
#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Where the entries of one row stand before and after a piece; see src/ops/slide.ts.
struct Ring {
  int64_t used, length, capacity, sinks, kept;

  Ring(int64_t used, int64_t length, int64_t capacity, int64_t sinks)
      : used(used), length(length), capacity(capacity), sinks(sinks), kept(std::min(used, capacity)) {
    if (used >= 0) return;
    throw std::runtime_error("slide: a row has " + std::to_string(used) + " entries used, which is below 0.");
  }

  int64_t slot(int64_t entry) const {
    return entry < sinks ? entry : sinks + (entry - sinks) % (capacity - sinks);
  }
  int64_t old(int64_t j) const { return slot(j < sinks ? j : used - kept + j); }
  // Whether entry i of the piece is kept, and where.
  bool stays(int64_t i) const { return used + i < sinks || used + i >= used + length - (capacity - sinks); }
  int64_t fresh(int64_t i) const { return slot(used + i); }
};

// Numbers at one position of a tensor [B, L, …]; all are of four bytes.
int64_t entrySize(const Tensor& t) {
  int64_t size = 1;
  for (int axis = 2; axis < t.rank; axis++) size *= t.shape[axis];
  return size;
}

void copyEntry(uint32_t* to, const uint32_t* from, int64_t size) {
  std::memcpy(to, from, static_cast<size_t>(size) * sizeof(uint32_t));
}

void slide(const Call& call) {
  const Tensor &cache = call.in(0), &fresh = call.in(1), &ordered = call.out(0), &next = call.out(1);
  const int32_t* used = call.in(2).as<const int32_t>();
  const int64_t batch = cache.shape[0], capacity = cache.shape[1], length = fresh.shape[1], size = entrySize(cache);
  const int64_t sinks = call.attributes.integer("sinks"), whole = capacity + length;
  for (int64_t b = 0; b < batch; b++) {
    const Ring ring(used[b], length, capacity, sinks);
    const uint32_t* old = cache.as<const uint32_t>() + b * capacity * size;
    const uint32_t* piece = fresh.as<const uint32_t>() + b * length * size;
    // The entries in order come first: the new cache may stand where the old one does.
    if (ordered) {
      uint32_t* to = ordered.as<uint32_t>() + b * whole * size;
      call.team.split(whole, rowGrain(size), [&](int64_t begin, int64_t end, int) {
        for (int64_t j = begin; j < end; j++) {
          if (j < ring.kept) copyEntry(to + j * size, old + ring.old(j) * size, size);
          else if (j < ring.kept + length) copyEntry(to + j * size, piece + (j - ring.kept) * size, size);
          else std::memset(to + j * size, 0, static_cast<size_t>(size) * sizeof(uint32_t));
        }
      });
    }
    if (!next) continue;
    uint32_t* to = next.as<uint32_t>() + b * capacity * size;
    if (to != old) copyEntry(to, old, capacity * size);
    for (int64_t i = 0; i < length; i++) {
      if (ring.stays(i)) copyEntry(to + ring.fresh(i) * size, piece + i * size, size);
    }
  }
}

void addEntry(float* to, const float* from, int64_t size) {
  forVectors(0, size, [&](int64_t i, int64_t n) { storeLanes(to + i, loadLanes(to + i, n) + loadLanes(from + i, n), n); });
}

void clear(float* to, int64_t size) { std::memset(to, 0, static_cast<size_t>(size) * sizeof(float)); }

void slideBackward(const Call& call) {
  const Tensor &dOrdered = call.in(0), &dCache = call.in(1);
  const int32_t* used = call.in(2).as<const int32_t>();
  const int64_t batch = call.in(2).count(), size = entrySize(dOrdered ? dOrdered : dCache);
  const int64_t capacity = call.attributes.integer("capacity"), length = call.attributes.integer("length");
  const int64_t sinks = call.attributes.integer("sinks"), whole = capacity + length;
  for (int64_t b = 0; b < batch; b++) {
    const Ring ring(used[b], length, capacity, sinks);
    const float* ordered = dOrdered ? dOrdered.as<const float>() + b * whole * size : nullptr;
    const float* next = dCache ? dCache.as<const float>() + b * capacity * size : nullptr;
    if (float* fresh = call.out(1).as<float>()) {
      fresh += b * length * size;
      for (int64_t i = 0; i < length; i++) {
        clear(fresh + i * size, size);
        if (ordered) addEntry(fresh + i * size, ordered + (ring.kept + i) * size, size);
        if (next && ring.stays(i)) addEntry(fresh + i * size, next + ring.fresh(i) * size, size);
      }
    }
    if (float* old = call.out(0).as<float>()) {
      old += b * capacity * size;
      if (next) std::memcpy(old, next, static_cast<size_t>(capacity * size) * sizeof(float));
      else clear(old, capacity * size);
      for (int64_t i = 0; i < length; i++) {
        if (ring.stays(i)) clear(old + ring.fresh(i) * size, size);
      }
      for (int64_t j = 0; ordered && j < ring.kept; j++) addEntry(old + ring.old(j) * size, ordered + j * size, size);
    }
  }
}

}  // namespace

void registerSlide(KernelTable& table) {
  table.emplace("slide", slide);
  table.emplace("slideBackward", slideBackward);
}

}  // namespace braid::BRAID_VARIANT
