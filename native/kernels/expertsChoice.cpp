// How tokens choose experts: small integer work, of which only the search for the best is worth several threads.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Before any thread starts: an exception must not leave one of them.
void requireColumns(const char* operation, const Tensor& index, int64_t columns) {
  const int32_t* column = index.as<const int32_t>();
  for (int64_t i = 0; i < index.count(); i++) {
    if (column[i] >= 0 && column[i] < columns) continue;
    throw std::runtime_error(std::string(operation) + ": expert " + std::to_string(column[i]) + " at element " +
                             std::to_string(i) + " is outside [0, " + std::to_string(columns) +
                             "). The choice must come from a 'topK' over as many experts.");
  }
}

// Best first. Scores that are not numbers compare as false, and a chosen expert is never looked at again.
void chooseBest(const double* value, bool* taken, int64_t experts, int64_t k, int32_t* chosen) {
  std::fill(taken, taken + experts, false);
  for (int64_t rank = 0; rank < k; rank++) {
    int64_t best = -1;
    for (int64_t expert = 0; expert < experts; expert++) {
      if (taken[expert]) continue;
      if (best < 0 || value[expert] > value[best]) best = expert;
    }
    taken[best] = true;
    chosen[rank] = static_cast<int32_t>(best);
  }
}

void topK(const Call& call) {
  const Source scores = call.in(0), bias = optional(call, 1);
  int32_t* index = call.out(0).as<int32_t>();
  if (!index) return;
  const int64_t experts = call.in(0).shape[1], k = call.attributes.integer("k");
  call.team.split(call.in(0).shape[0], rowGrain(experts * k), [&](int64_t begin, int64_t end, int thread) {
    std::byte* memory = call.team.scratch(thread, static_cast<size_t>(experts) * (sizeof(double) + sizeof(bool)));
    // In float64: a bias too small to change a float32 score still decides between equal ones.
    double* value = reinterpret_cast<double*>(memory);
    bool* taken = reinterpret_cast<bool*>(value + experts);
    for (int64_t token = begin; token < end; token++) {
      for (int64_t e = 0; e < experts; e++) {
        value[e] = static_cast<double>(scores.at(token * experts + e)) + (bias ? static_cast<double>(bias.at(e)) : 0.0);
      }
      chooseBest(value, taken, experts, k, index + token * k);
    }
  });
}

void gatherColumns(const Call& call) {
  const Source x = call.in(0);
  const Tensor& index = call.in(1);
  const Sink y = call.out(0);
  const int64_t columns = call.in(0).shape[1], k = index.shape[1];
  requireColumns("gatherColumns", index, columns);
  if (!y) return;
  const int32_t* column = index.as<const int32_t>();
  for (int64_t i = 0; i < index.count(); i++) y.put(i, x.at(i / k * columns + column[i]));
}

void gatherColumnsBackward(const Call& call) {
  const Source dy = call.in(0);
  const Tensor& index = call.in(1);
  float* dx = call.out(0).as<float>();
  const int64_t columns = call.attributes.integer("columns"), k = index.shape[1];
  requireColumns("gatherColumnsBackward", index, columns);
  if (!dx) return;
  const int32_t* column = index.as<const int32_t>();
  std::fill(dx, dx + call.out(0).count(), 0.0f);
  for (int64_t i = 0; i < index.count(); i++) dx[i / k * columns + column[i]] += dy.at(i);
}

// A counting sort: by expert, then by token.
void groupTokens(const Call& call) {
  const Tensor& index = call.in(0);
  int32_t *order = call.out(0).as<int32_t>(), *offsets = call.out(1).as<int32_t>();
  float* load = call.out(2).as<float>();
  const int64_t experts = call.attributes.integer("experts"), count = index.count();
  requireColumns("groupTokens", index, experts);
  const int32_t* expert = index.as<const int32_t>();
  int32_t* ends = reinterpret_cast<int32_t*>(call.team.scratch(0, static_cast<size_t>(experts + 1) * sizeof(int32_t)));
  std::fill(ends, ends + experts + 1, 0);
  for (int64_t i = 0; i < count; i++) ends[expert[i] + 1]++;
  for (int64_t e = 0; load && e < experts; e++) load[e] = static_cast<float>(ends[e + 1]);
  for (int64_t e = 0; e < experts; e++) ends[e + 1] += ends[e];
  if (offsets) std::copy(ends, ends + experts + 1, offsets);
  for (int64_t i = 0; order && i < count; i++) order[ends[expert[i]]++] = static_cast<int32_t>(i);
}

void balanceBias(const Call& call) {
  const Source bias = call.in(0), load = call.in(1);
  const Sink next = call.out(0);
  if (!next) return;
  const int64_t experts = call.in(0).count();
  const double rate = call.attributes.number("rate");
  double total = 0;
  for (int64_t e = 0; e < experts; e++) total += static_cast<double>(load.at(e));
  const double mean = total / static_cast<double>(experts);
  for (int64_t e = 0; e < experts; e++) {
    const double missing = mean - static_cast<double>(load.at(e));
    const double sign = missing > 0 ? 1 : missing < 0 ? -1 : missing;
    next.put(e, static_cast<float>(static_cast<double>(bias.at(e)) + rate * sign));
  }
}

}  // namespace

void registerExpertsChoice(KernelTable& table) {
  table.emplace("topK", topK);
  table.emplace("gatherColumns", gatherColumns);
  table.emplace("gatherColumnsBackward", gatherColumnsBackward);
  table.emplace("groupTokens", groupTokens);
  table.emplace("balanceBias", balanceBias);
}

}  // namespace braid::BRAID_VARIANT
