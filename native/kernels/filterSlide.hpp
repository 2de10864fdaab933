// Sums of taps over neighbouring positions, sixteen channels in the lanes, all on rows of sixteen floats in the caches.
#pragma once
#include <type_traits>

#include "vector.hpp"

namespace braid::BRAID_VARIANT {

// Sums that stay in registers.
#if defined(__AVX512F__)
constexpr int kSums = 12;
#else
constexpr int kSums = 4;
#endif

// Σ over lags of taps[lag] · from[(position + Step · lag)], for Sums positions: Step −1 looks back, 1 ahead.
template <int Sums, int Step>
inline void slide(const float* taps, int64_t lags, const float* from, f32x16* sums) {
  f32x16 own[Sums];
  for (int r = 0; r < Sums; r++) own[r] = zero();
  for (int64_t lag = 0; lag < lags; lag++, from += Step * kWidth) {
    const f32x16 tap = load(taps + lag * kWidth);
    for (int r = 0; r < Sums; r++) own[r] += tap * load(from + r * kWidth);
  }
  for (int r = 0; r < Sums; r++) sums[r] = own[r];
}

// sums[lag] += Σ over `count` positions of dz[i] · inputs[i − lag], for the first `lags` lags.
inline void addLagProducts(const float* dz, const float* inputs, int64_t count, int64_t lags, float* sums) {
  int64_t lag = 0;
  const auto add = [&](auto size) {
    constexpr int64_t sumCount = decltype(size)::value;
    for (; lag + sumCount <= lags; lag += sumCount) {
      f32x16 own[sumCount];
      for (int64_t r = 0; r < sumCount; r++) own[r] = zero();
      const float* from = inputs - lag * kWidth;
      for (int64_t i = 0; i < count; i++) {
        const f32x16 d = load(dz + i * kWidth);
        for (int64_t r = 0; r < sumCount; r++) own[r] += d * load(from + (i - r) * kWidth);
      }
      for (int64_t r = 0; r < sumCount; r++) {
        float* to = sums + (lag + r) * kWidth;
        store(to, load(to) + own[r]);
      }
    }
  };
  add(std::integral_constant<int64_t, kSums>{});
  // The taps of a short filter in one pass.
  if constexpr (kSums > 7) add(std::integral_constant<int64_t, 7>{});
  add(std::integral_constant<int64_t, 4>{});
  add(std::integral_constant<int64_t, 2>{});
  add(std::integral_constant<int64_t, 1>{});
}

}  // namespace braid::BRAID_VARIANT
