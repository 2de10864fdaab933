// The operation `quantizedMatmul` of docs/operations.md.
#include "quantized.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int64_t kWidenedBytes = 512 * 1024;  // of weights that are widened before they are multiplied
constexpr int64_t kColumns = 32;

// With many rows the weights are widened a few columns at a time, to the type of a, for a product of the usual kind.
template <typename T>
void multiplyMany(Team& team, const GemmArguments& g, const QuantizedWeight& w) {
  const int64_t fitting = kWidenedBytes / (w.k() * static_cast<int64_t>(sizeof(T))) / kColumns * kColumns;
  const int64_t columns = fitting < kColumns ? kColumns : fitting;
  team.split(g.n, kColumns, [&](int64_t begin, int64_t end, int thread) {
    T* widened = reinterpret_cast<T*>(team.scratch(thread, static_cast<size_t>(columns * w.k()) * sizeof(T)));
    for (int64_t column = begin; column < end; column += columns) {
      GemmArguments part = g;
      part.n = end - column < columns ? end - column : columns;
      dequantizeRows(w, column, column + part.n, widened);
      part.b = {widened, g.a.dtype, w.k(), true};
      part.c = static_cast<std::byte*>(g.c) + column * static_cast<int64_t>(byteSize(g.cType));
      if (g.bias) part.bias = g.bias + column;
      if (g.addend) part.addend = g.addend + column;
      gemmSerial(team, thread, part);
    }
  });
}

void quantizedMatmul(const Call& call) {
  const Tensor &a = call.in(0), &y = call.out(0);
  if (!y) return;
  const QuantizedWeight w(call.in(1), call.in(2), call.attributes.integer("bits"));
  GemmArguments g{};
  g.m = a.rows(), g.n = w.n, g.k = w.k();
  g.a = {a.data, a.dtype, g.k};
  g.c = y.data, g.cType = y.dtype, g.cStride = g.n;
  if (call.inputCount > 3) g.bias = call.in(3).as<const float>();
  if (call.inputCount > 4) g.addend = call.in(4).as<const float>();
  g.addendStride = g.n;
  if (g.m <= kQuantizedFewRows) return multiplyQuantizedFew(call.team, g, w);
  if (a.dtype == DType::bfloat16) return multiplyMany<bfloat16>(call.team, g, w);
  multiplyMany<float>(call.team, g, w);
}

}  // namespace

void registerQuantizedMatmul(KernelTable& table) { table.emplace("quantizedMatmul", quantizedMatmul); }

}  // namespace braid::BRAID_VARIANT
