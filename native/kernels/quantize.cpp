// The operations `quantizeWeight` and `dequantizeWeight` of docs/operations.md.
#include <cmath>
#include <cstring>

#include "operand.hpp"
#include "quantized.hpp"
#include "table.hpp"

namespace braid::BRAID_VARIANT {
namespace {

// 8 bits: the largest magnitude becomes 127; 4 bits: the weight of the largest magnitude becomes −8.
bfloat16 scaleOf(const float* group, int bits) {
  float largest = 0;
  for (int64_t i = 0; i < kQuantizedGroup; i++) {
    if (std::fabs(group[i]) > std::fabs(largest)) largest = group[i];
  }
  return narrow(bits == 8 ? std::fabs(largest) / 127.0f : largest / -8.0f);
}

// The integer of a weight, plus half the range. A weight that is no number becomes the lowest.
int32_t levelOf(float weight, float scale, float half) {
  const float magic = 12582912.0f;  // 1.5 · 2²³: adding it rounds to an integer
  const float level = scale == 0 ? 0 : (weight / scale + magic) - magic;
  const float low = level >= -half ? level : -half;
  return static_cast<int32_t>((low < half - 1 ? low : half - 1) + half);
}

void quantizeWeight(const Call& call) {
  const Tensor& w = call.in(0);
  const int bits = static_cast<int>(call.attributes.integer("bits"));
  int32_t* packed = call.out(0).as<int32_t>();
  bfloat16* scales = call.out(1).as<bfloat16>();
  const int64_t rows = w.shape[0], k = w.shape[1], groups = k / kQuantizedGroup, perBlock = 16 / bits;
  const int64_t words = (groups + perBlock - 1) / perBlock * kBlockWords;
  const float half = bits == 8 ? 128.0f : 8.0f;
  call.team.split(rows, rowGrain(k), [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; row++) {
      if (packed) std::memset(packed + row * words, 0, static_cast<size_t>(words) * sizeof(int32_t));
      for (int64_t g = 0; g < groups; g++) {
        const float* group = w.as<const float>() + row * k + g * kQuantizedGroup;
        const bfloat16 stored = scaleOf(group, bits);
        if (scales) scales[row * groups + g] = stored;
        if (!packed) continue;
        const float scale = widen(stored);
        int32_t* block = packed + row * words + g / perBlock * kBlockWords;
        const int shift = static_cast<int>(g % perBlock) * bits;
        for (int64_t i = 0; i < kQuantizedGroup; i += 2) {
          const int32_t pair = levelOf(group[i], scale, half) | levelOf(group[i + 1], scale, half) << 16;
          block[i / 2] |= static_cast<int32_t>(static_cast<uint32_t>(pair) << shift);
        }
      }
    }
  });
}

void dequantizeWeight(const Call& call) {
  const QuantizedWeight w(call.in(0), call.in(1), call.attributes.integer("bits"));
  if (!call.out(0)) return;
  call.team.split(w.n, rowGrain(w.k()), [&](int64_t begin, int64_t end, int) {
    dequantizeRows(w, begin, end, call.out(0).as<float>() + begin * w.k());
  });
}

}  // namespace

void registerQuantize(KernelTable& table) {
  table.emplace("quantizeWeight", quantizeWeight);
  table.emplace("dequantizeWeight", dequantizeWeight);
}

}  // namespace braid::BRAID_VARIANT
