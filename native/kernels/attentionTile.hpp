// What forward and backward attention share. The queries of all heads that use one key-value head are laid out position
// by position as "slots" (position · ratio + head); a tile is 64 of them. Inside a tile everything is transposed, one slot
// per lane: maxima and sums over keys are then plain vector operations, and head sizes need not be multiples of 16.
#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>

#include "gemmPack.hpp"
#include "operand.hpp"
#include "pieces.hpp"
#include "tileProduct.hpp"

namespace braid::BRAID_VARIANT {

constexpr int64_t kSlots = 64;  // slots of a tile
constexpr int64_t kStep = 32;   // blocks begin at multiples of this

inline int64_t roundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

struct Attention {
  Source q, k, v;
  const int32_t *queryDocuments, *keyDocuments, *used;
  int64_t batch, length, keys, heads, groups, ratio, e, f, tiles;
  int64_t window, sinks;  // the last keys and the first keys that a query sees
  float scale;

  explicit Attention(const Call& call)
      : q(call.in(0)),
        k(call.in(1)),
        v(call.in(2)),
        queryDocuments(optional(call, 3).as<const int32_t>()),
        keyDocuments(optional(call, 4).as<const int32_t>()),
        used(optional(call, 5).as<const int32_t>()),
        batch(call.in(0).shape[0]),
        length(call.in(0).shape[1]),
        keys(call.in(1).shape[1]),
        heads(call.in(0).shape[2]),
        groups(call.in(1).shape[2]),
        ratio(heads / groups),
        e(call.in(0).shape[3]),
        f(call.in(2).shape[3]),
        tiles((length * ratio + kSlots - 1) / kSlots),
        window(call.attributes.has("window") ? call.attributes.integer("window") : keys),
        sinks(call.attributes.has("sinks") ? std::min(call.attributes.integer("sinks"), keys) : 0),
        scale(static_cast<float>(call.attributes.number("scale"))) {
    for (int64_t b = 0; used && b < batch; b++) {
      if (used[b] >= 0 && used[b] + length <= keys) continue;
      throw std::runtime_error("attention: row " + std::to_string(b) + " has " + std::to_string(used[b]) +
                               " cached entries before a piece of " + std::to_string(length) +
                               ", which a cache of capacity " + std::to_string(keys) +
                               " cannot hold. Give the state a larger capacity.");
    }
  }

  // Whether the matrix unit multiplies: in programs that store queries, keys or values in bfloat16 anyway. A few queries
  // against a long cache are not worth rounding the whole cache.
  bool inPairs(const Team& team) const {
    return (q.half() || k.half() || v.half()) && team.hasTiles() && length * ratio >= kSlots;
  }
};

// Tiles of a key-value head are cut into parts. Later tiles see more keys; dealing them out forwards and backwards in turn
// makes all parts the same work.
inline int tileOwner(int64_t tile, int64_t parts) {
  const int64_t place = tile % parts;
  return static_cast<int>(tile / parts % 2 == 0 ? place : parts - 1 - place);
}

// What some of the slots see, and what all of them see.
struct Reach {
  int32_t firstOfAll, lastOfAll;    // seen by some slot
  int32_t firstOfEach, lastOfEach;  // from here to there seen by every slot

  Reach() = default;
  Reach(const int32_t* first, const int32_t* last, int64_t slots)
      : firstOfAll(*std::min_element(first, first + slots)),
        lastOfAll(*std::max_element(last, last + slots)),
        firstOfEach(*std::max_element(first, first + slots)),
        lastOfEach(*std::min_element(last, last + slots)) {}

  bool whole(int64_t key, int64_t keys, int64_t sinks) const {
    return (firstOfEach <= key || key + keys <= sinks) && key + keys - 1 <= lastOfEach;
  }
  bool none(int64_t key, int64_t keys, int64_t sinks) const {
    return key > lastOfAll || (key + keys <= firstOfAll && key >= sinks);
  }
};

// Slots of a tile and the keys that each of them sees: first … last, and those before `sinks` up to last.
struct Tile {
  int64_t row, group, begin, count, vectors, sinks;
  int32_t first[kSlots], last[kSlots];
  int64_t rows[kSlots], places[kSlots];  // of a slot among the rows of a tensor [B, L, H, …], and in one [B, H, L]
  Reach reach, halves[2];

  Tile(const Attention& a, int64_t row, int64_t group, int64_t tile)
      : row(row),
        group(group),
        begin(tile * kSlots),
        count(std::min(kSlots, a.length * a.ratio - begin)),
        vectors((count + kWidth - 1) / kWidth),
        sinks(a.sinks) {
    int64_t position = begin / a.ratio, head = begin % a.ratio;
    for (int64_t s = 0; s < kSlots; s++) {
      if (s > 0 && (head != 0 || s >= count)) {  // lanes without a slot repeat the last one
        first[s] = first[s - 1];
        last[s] = last[s - 1];
      } else {
        see(a, position, first[s], last[s]);
      }
      rows[s] = (row * a.length + position) * a.heads + group * a.ratio + head;
      places[s] = (row * a.heads + group * a.ratio + head) * a.length + position;
      if (++head == a.ratio) head = 0, position++;
    }
    halves[0] = Reach(first, last, kSlots / 2);
    halves[1] = Reach(first + kSlots / 2, last + kSlots / 2, kSlots / 2);
    reach = Reach(first, last, kSlots);
  }

  // Element offset of a slot's row in a tensor [B, L, H, width].
  int64_t offset(int64_t s, int64_t width) const { return rows[s] * width; }

  bool whole(int64_t firstKey, int64_t keys) const { return reach.whole(firstKey, keys, sinks); }

  // Calls body(first key, count) for blocks of at most `most` keys, in order, that hold all keys some slot sees. None of them
  // shares a step with another.
  template <typename Body>
  void forBlocks(int64_t most, const Body& body) const {
    const int64_t end = reach.lastOfAll + 1, sinkEnd = std::min(sinks, end), firstStep = reach.firstOfAll / kStep * kStep;
    const bool apart = roundUp(sinkEnd, kStep) <= firstStep;
    const int64_t from = apart || sinks == 0 ? firstStep : 0;
    for (int64_t j = 0; apart && j < sinkEnd; j += most) body(j, std::min(most, sinkEnd - j));
    for (int64_t j = from; j < end; j += most) body(j, std::min(most, end - j));
  }

  // A number per slot into a tensor [B, H, L].
  void putPerSlot(const float* from, float* to) const {
    for (int64_t s = 0; s < count; s++) to[places[s]] = from[s];
  }

  // Asks for the rows of a tensor [B, L, H, width]: pieces far from each other are nothing that the hardware foresees.
  void fetch(const Source& from, int64_t width) const {
    const int64_t line = from.half() ? 32 : 16;
    for (int64_t s = 0; s < count; s++) {
      for (int64_t i = 0; i < width; i += line) from.prefetch(offset(s, width) + i);
    }
  }

 private:
  void see(const Attention& a, int64_t position, int32_t& from, int32_t& to) const {
    const int64_t end = std::min(position + (a.used ? a.used[row] : 0), a.keys - 1) + 1;
    const int32_t reach = static_cast<int32_t>(std::max<int64_t>(0, end - a.window));
    from = reach;
    to = static_cast<int32_t>(end) - 1;
    if (!a.queryDocuments) return;
    // Key documents increase: the document is one stretch of keys.
    const int32_t document = a.queryDocuments[row * a.length + position];
    const int32_t* documents = a.keyDocuments + row * a.keys;
    const auto range = std::equal_range(documents, documents + end, document);
    from = std::max(reach, static_cast<int32_t>(range.first - documents));
    to = static_cast<int32_t>(range.second - documents) - 1;
  }
};

// body(tile) for the tiles of one of `parts` parts of a unit: a key-value head of a row. Before each, fetch(the next one).
template <typename Fetch, typename Body>
inline void forTiles(const Attention& a, int64_t unit, int64_t part, int64_t parts, const Fetch& fetch, const Body& body) {
  const int64_t row = unit / a.groups, group = unit % a.groups;
  const auto from = [&](int64_t index) {
    while (index < a.tiles && tileOwner(index, parts) != part) index++;
    return index;
  };
  int64_t index = from(0);
  if (index == a.tiles) return;
  for (Tile tile(a, row, group, index); index < a.tiles;) {
    index = from(index + 1);
    const Tile next(a, row, group, std::min(index, a.tiles - 1));
    if (index < a.tiles) fetch(next);
    body(tile);
    tile = next;
  }
}

// Rows of a tile's tensor [B, L, H, width] as columns: to[i · kSlots + s]. Lanes without a slot are zero.
inline void packColumns(const Tile& tile, const Source& from, int64_t width, float factor,
                        float* to) {
  for (int64_t first = 0; first < tile.count; first += kWidth) {
    for (int64_t i = 0; i < width; i += kWidth) {
      const int64_t features = std::min<int64_t>(kWidth, width - i);
      f32x16 block[kWidth];
      for (int64_t s = 0; s < kWidth; s++) {
        const bool there = first + s < tile.count;
        block[s] = there ? from.load(tile.offset(first + s, width) + i, features) * factor : zero();
      }
      transpose(block);
      for (int64_t j = 0; j < features; j++) store(to + (i + j) * kSlots + first, block[j]);
    }
  }
}

// The reverse: columns times a factor per slot, as rows of a tensor.
inline void unpackColumns(const Tile& tile, const float* from, const float* factors, int64_t width,
                          const Sink& to) {
  for (int64_t first = 0; first < tile.count; first += kWidth) {
    const f32x16 factor = load(factors + first);
    for (int64_t i = 0; i < width; i += kWidth) {
      const int64_t features = std::min<int64_t>(kWidth, width - i);
      f32x16 block[kWidth];
      for (int64_t j = 0; j < kWidth; j++) {
        block[j] = j < features ? load(from + (i + j) * kSlots + first) * factor : zero();
      }
      transpose(block);
      const int64_t slots = std::min<int64_t>(kWidth, tile.count - first);
      for (int64_t s = 0; s < slots; s++) to.store(tile.offset(first + s, width) + i, block[s], features);
    }
  }
}

// Keys or values of one key-value head as float rows: where they stand, or widened into `buffer`.
struct KeyRows {
  const float* data;
  int64_t stride;
};

inline KeyRows keyRows(const Attention& a, const Tile& tile, const Source& from, int64_t width, int64_t firstKey,
                       int64_t keys, float* buffer) {
  const int64_t stride = a.groups * width;
  const int64_t at = (tile.row * a.keys + firstKey) * stride + tile.group * width;
  if (!from.half()) return {from.floats() + at, stride};
  for (int64_t j = 0; j < keys; j++) {
    float* row = buffer + j * padded(width);
    forVectors(0, width, [&](int64_t i, int64_t n) { store(row + i, from.load(at + j * stride + i, n)); });
  }
  return {buffer, padded(width)};
}

inline i32x16 seen(const Tile& tile, int64_t key, int64_t vector) {
  const int32_t j = static_cast<int32_t>(key);
  const i32x16 reached = load(tile.last + vector * kWidth) >= j;
  return key < tile.sinks ? reached : (load(tile.first + vector * kWidth) <= j) & reached;
}

}  // namespace braid::BRAID_VARIANT
