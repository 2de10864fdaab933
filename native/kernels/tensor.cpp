// Casts, constants, and cutting and joining of the last axis.
#include <cstring>

#include "operand.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

void cast(const Call& call) {
  const Source x = call.in(0);
  const Sink y = call.out(0);
  if (!y) return;
  forVectors(call.team, call.in(0).count(), [=](int64_t i, int64_t n) { y.store(i, x.load(i, n), n); });
}

void fill(const Call& call) {
  const Tensor& y = call.out(0);
  if (!y) return;
  const double value = call.attributes.number("value");
  if (y.dtype == DType::int32) {
    call.team.split(y.count(), 4096, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; i++) y.as<int32_t>()[i] = static_cast<int32_t>(value);
    });
    return;
  }
  const Sink sink = y;
  const f32x16 constant = splat(static_cast<float>(value));
  forVectors(call.team, y.count(), [&](int64_t i, int64_t n) { sink.store(i, constant, n); });
}

// Copies the columns of `part` between it and a place in wider rows.
void copyColumns(Team& team, const Tensor& part, std::byte* wide, int64_t wideRow, bool toPart) {
  const size_t bytes = static_cast<size_t>(part.last()) * byteSize(part.dtype);
  std::byte* narrow = part.as<std::byte>();
  team.split(part.rows(), rowGrain(part.last()), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; row++) {
      std::byte* a = narrow + static_cast<size_t>(row) * bytes;
      std::byte* b = wide + row * wideRow;
      toPart ? std::memcpy(a, b, bytes) : std::memcpy(b, a, bytes);
    }
  });
}

void split(const Call& call) {
  const Tensor& x = call.in(0);
  const std::vector<int64_t>& sizes = call.attributes.numbers("sizes");
  const int64_t element = static_cast<int64_t>(byteSize(x.dtype));
  std::byte* column = x.as<std::byte>();
  for (size_t i = 0; i < call.outputCount; i++) {
    if (call.out(i)) copyColumns(call.team, call.out(i), column, x.last() * element, true);
    column += sizes[i] * element;
  }
}

void concat(const Call& call) {
  const Tensor& y = call.out(0);
  if (!y) return;
  const int64_t element = static_cast<int64_t>(byteSize(y.dtype));
  std::byte* column = y.as<std::byte>();
  for (size_t i = 0; i < call.inputCount; i++) {
    copyColumns(call.team, call.in(i), column, y.last() * element, false);
    column += call.in(i).last() * element;
  }
}

}  // namespace

void registerTensor(KernelTable& table) {
  table.emplace("cast", cast);
  table.emplace("fill", fill);
  table.emplace("split", split);
  table.emplace("concat", concat);
}

}  // namespace braid::BRAID_VARIANT
