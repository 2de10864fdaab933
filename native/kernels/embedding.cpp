// Rows of a table by number, and the gradient of the table.
#include <cstring>
#include <stdexcept>
#include <string>

#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// Before any thread starts: an exception must not leave one of them.
void requireIds(const Tensor& ids, int64_t vocabulary) {
  const int32_t* id = ids.as<const int32_t>();
  for (int64_t i = 0; i < ids.count(); i++) {
    if (id[i] >= 0 && id[i] < vocabulary) continue;
    throw std::runtime_error("embedding: id " + std::to_string(id[i]) + " at element " + std::to_string(i) +
                             " is outside the vocabulary of " + std::to_string(vocabulary) +
                             ". Allowed are 0 to " + std::to_string(vocabulary - 1) +
                             "; check that the tokenizer is the one of the model.");
  }
}

void embedding(const Call& call) {
  const Tensor& table = call.in(0);
  const Source rows = table;
  const Sink y = call.out(0);
  requireIds(call.in(1), table.shape[0]);
  if (!y) return;
  const int64_t width = table.shape[1];
  const int32_t* id = call.in(1).as<const int32_t>();
  call.team.split(call.in(1).count(), rowGrain(width), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; t++) {
      forVectors(0, width, [&](int64_t i, int64_t n) { y.store(t * width + i, rows.load(id[t] * width + i, n), n); });
    }
  });
}

// Every thread owns a range of the vocabulary and walks all tokens: the same order of additions on any run.
void embeddingBackward(const Call& call) {
  const Tensor &ids = call.in(0), &dTable = call.out(0);
  const Source dy = call.in(1);
  if (!dTable) return;
  const int64_t width = dTable.shape[1], tokens = ids.count();
  requireIds(ids, dTable.shape[0]);
  const int32_t* id = ids.as<const int32_t>();
  call.team.split(dTable.shape[0], rowGrain(width), [&](int64_t begin, int64_t end, int) {
    float* table = dTable.as<float>();
    std::memset(table + begin * width, 0, static_cast<size_t>((end - begin) * width) * sizeof(float));
    for (int64_t t = 0; t < tokens; t++) {
      if (id[t] < begin || id[t] >= end) continue;
      float* row = table + id[t] * width;
      forVectors(0, width, [&](int64_t i, int64_t n) {
        storeLanes(row + i, loadLanes(row + i, n) + dy.load(t * width + i, n), n);
      });
    }
  });
}

}  // namespace

void registerEmbedding(KernelTable& table) {
  table.emplace("embedding", embedding);
  table.emplace("embeddingBackward", embeddingBackward);
}

}  // namespace braid::BRAID_VARIANT
