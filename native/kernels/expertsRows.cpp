// Rows of tokens on their way to experts and back. Row r stands for choice order[r], of token order[r] / repeat.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

struct Rows {
  const int32_t* order;
  int64_t count, repeat, tokens, width;

  // Before any thread starts: an exception must not leave one of them.
  Rows(const Call& call, const Tensor& wide)
      : order(call.in(1).as<const int32_t>()),
        count(call.in(1).count()),
        repeat(call.attributes.integer("repeat")),
        tokens(count / repeat),
        width(wide.shape[1]) {
    for (int64_t r = 0; r < count; r++) {
      if (order[r] >= 0 && order[r] < count) continue;
      throw std::runtime_error("Row " + std::to_string(r) + " stands for choice " + std::to_string(order[r]) +
                               ", outside [0, " + std::to_string(count) +
                               "). The order must come from 'groupTokens' over the same choices.");
    }
  }

  int64_t token(int64_t row) const { return order[row] / repeat; }
};

void gatherRows(const Call& call) {
  const Source x = call.in(0);
  const Sink y = call.out(0);
  const Rows rows(call, call.in(0));
  if (!y) return;
  const int64_t width = rows.width;
  call.team.split(rows.count, rowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; r++) {
      const int64_t from = rows.token(r) * width;
      forVectors(0, width, [&](int64_t i, int64_t n) { y.store(r * width + i, x.load(from + i, n), n); });
    }
  });
}

// The rows of every token, in increasing order: sorted[ends[t − 1]] … sorted[ends[t] − 1], with 0 before the first.
struct RowsOfTokens {
  int32_t *ends, *sorted;

  RowsOfTokens(Team& team, const Rows& rows) {
    ends = reinterpret_cast<int32_t*>(team.scratch(0, static_cast<size_t>(rows.tokens + rows.count) * sizeof(int32_t)));
    sorted = ends + rows.tokens;
    std::fill(ends, sorted, 0);
    for (int64_t r = 0; r < rows.count; r++) ends[rows.token(r)]++;
    int32_t total = 0;
    for (int64_t t = 0; t < rows.tokens; t++) {
      const int32_t own = ends[t];
      ends[t] = total;
      total += own;
    }
    for (int64_t r = 0; r < rows.count; r++) sorted[ends[rows.token(r)]++] = static_cast<int32_t>(r);
  }
  int64_t begin(int64_t token) const { return token == 0 ? 0 : ends[token - 1]; }
  int64_t end(int64_t token) const { return ends[token]; }
};

void scatterRows(const Call& call) {
  const Source y = call.in(0), weights = optional(call, 2);
  const Sink x = call.out(0);
  const Rows rows(call, call.in(0));
  if (!x) return;
  const RowsOfTokens own(call.team, rows);
  const int64_t width = rows.width;
  call.team.split(rows.tokens, rowGrain(width * rows.repeat), [&](int64_t first, int64_t last, int) {
    for (int64_t token = first; token < last; token++) {
      const int64_t begin = own.begin(token), end = own.end(token);
      forVectors(0, width, [&](int64_t i, int64_t n) {
        f32x16 sum = zero();
        for (int64_t s = begin; s < end; s++) {
          const int64_t r = own.sorted[s];
          const f32x16 value = y.load(r * width + i, n);
          sum += weights ? value * weights.at(rows.order[r]) : value;
        }
        x.store(token * width + i, sum, n);
      });
    }
  });
}

void scatterRowsBackward(const Call& call) {
  const Source y = call.in(0), weights = call.in(2), dx = call.in(3);
  const Sink dy = call.out(0), dWeights = call.out(1);
  const Rows rows(call, call.in(0));
  const int64_t width = rows.width;
  call.team.split(rows.count, rowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; r++) {
      const int64_t token = rows.token(r) * width, row = r * width;
      const float weight = weights.at(rows.order[r]);
      f32x16 sums = zero();
      forVectors(0, width, [&](int64_t i, int64_t n) {
        const f32x16 gradient = dx.load(token + i, n);
        sums += gradient * y.load(row + i, n);
        if (dy) dy.store(row + i, gradient * weight, n);
      });
      if (dWeights) dWeights.put(rows.order[r], sum(sums));
    }
  });
}

}  // namespace

void registerExpertsRows(KernelTable& table) {
  table.emplace("gatherRows", gatherRows);
  table.emplace("scatterRows", scatterRows);
  table.emplace("scatterRowsBackward", scatterRowsBackward);
}

}  // namespace braid::BRAID_VARIANT
