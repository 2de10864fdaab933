// Operands of a matrix product, copied into the order in which the inner kernel reads them: panels of a fixed number of
// lines (rows of a, columns of b), in which the lines lie next to each other for each unit of k.
// A unit is 32 bits: one float, or two neighbouring bfloat16 numbers of one line (what vdpbf16ps multiplies).
#pragma once
#include "gemm.hpp"
#include "vector.hpp"

namespace braid::BRAID_VARIANT {

// One operand seen as lines along k.
struct GemmSide {
  const void* data;
  DType dtype;
  int64_t stride;
  bool kContiguous;  // the elements of a line are neighbours in memory; otherwise those of one k are
};

inline GemmSide rowsOf(const GemmOperand& a) { return {a.data, a.dtype, a.stride, !a.transposed}; }
inline GemmSide columnsOf(const GemmOperand& b) { return {b.data, b.dtype, b.stride, b.transposed}; }

// Some rows of a as the inner kernel reads them.
struct LeftPanel {
  const float* data;
  int64_t rowBytes, stepBytes;  // from one row, and from one step of k, to the next
};

// Where a tile goes: rows `stride` apart, whose old content is added where `adds`.
struct Place {
  float* at;
  int64_t stride;
  bool adds;
};

// Units of k that are multiplied between two looks at what is to be fetched: the elements of one line of memory.
constexpr int64_t kAheadUnits = 16;

// What is fetched while a tile is computed, step by step: the lines of c that the next tile goes to (`rows` rows, each with
// one at its start and one `second` bytes on), and some rows of the next panel of a. Tiles are stored into lines that nobody
// has read, and rows far apart are no stream that the core would follow by itself.
struct Ahead {
  const char* at = nullptr;
  int64_t rows = 0, stride = 0, second = 0;
  const char* left = nullptr;
  int64_t leftRows = 0, leftBytes = 0;

  void fetch(int64_t lines) {
    for (; lines > 0 && rows > 0; lines--, rows--, at += stride) {
      __builtin_prefetch(at, 1);
      __builtin_prefetch(at + second, 1);
    }
    for (int64_t r = 0; r < leftRows; r++) __builtin_prefetch(left + r * leftBytes, 0, 2);
    left += sizeof(float) * kAheadUnits;
  }
};

#if defined(__AVX512F__)
inline void transpose(f32x16 (&r)[16]) {
  f32x16 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  const auto low = [](f32x16 a, f32x16 b) {
    return (f32x16)_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b));
  };
  const auto high = [](f32x16 a, f32x16 b) {
    return (f32x16)_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b));
  };
  for (int i = 0; i < 16; i += 4) {
    r[i] = low(t[i], t[i + 2]);
    r[i + 1] = high(t[i], t[i + 2]);
    r[i + 2] = low(t[i + 1], t[i + 3]);
    r[i + 3] = high(t[i + 1], t[i + 3]);
  }
  // r[4g + c] holds column c of each 4-lane group for rows 4g … 4g + 3; now the groups change places.
  for (int c = 0; c < 4; c++) {
    t[c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0x88);
    t[4 + c] = _mm512_shuffle_f32x4(r[c], r[4 + c], 0xdd);
    t[8 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0x88);
    t[12 + c] = _mm512_shuffle_f32x4(r[8 + c], r[12 + c], 0xdd);
  }
  for (int c = 0; c < 4; c++) {
    r[c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0x88);
    r[8 + c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0xdd);
    r[4 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0x88);
    r[12 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0xdd);
  }
}
#else
inline void transpose(f32x16 (&r)[16]) {
  float in[16][16], out[16][16];
  for (int i = 0; i < 16; i++) store(in[i], r[i]);
  for (int i = 0; i < 16; i++) {
    for (int j = 0; j < 16; j++) out[j][i] = in[i][j];
  }
  for (int i = 0; i < 16; i++) r[i] = load(out[i]);
}
#endif

// Units of one float. T is how the operand is stored.
template <typename T>
struct FloatUnits {
  static constexpr int64_t kPerUnit = 1;
  using Stored = T;
  // Sixteen units of one line; `k` of its elements are left.
  static f32x16 alongK(const T* p, int64_t k) { return k >= kWidth ? load(p) : loadPartial(p, k < 0 ? 0 : k); }
  // One unit of up to sixteen lines.
  static f32x16 acrossLines(const T* p, int64_t /*stride*/, int64_t k, int64_t lines) {
    if (k <= 0) return zero();
    return lines >= kWidth ? load(p) : loadPartial(p, lines);
  }
};

#if defined(__AVX512BF16__)
// Units of two bfloat16 numbers; a missing second one is zero.
struct PairUnits {
  static constexpr int64_t kPerUnit = 2;
  using Stored = bfloat16;
  static f32x16 alongK(const bfloat16* p, int64_t k) {
    if (k >= 2 * kWidth) return (f32x16)_mm512_loadu_si512(p);
    return k <= 0 ? zero() : (f32x16)_mm512_maskz_loadu_epi16((__mmask32)((1u << k) - 1), p);
  }
  static f32x16 acrossLines(const bfloat16* p, int64_t stride, int64_t k, int64_t lines) {
    if (k <= 0) return zero();
    const __mmask16 mask = firstLanes(lines < kWidth ? lines : kWidth);
    const __m512i even = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p));
    if (k < 2) return (f32x16)even;
    const __m512i odd = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p + stride));
    return (f32x16)_mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
  }
};
#endif

// Packs `lines` lines from `line`, and `k` elements from `k0`, into panels of Width lines and `units` units. What is missing,
// lines of the last panel and units past k, is zero.
template <typename Units, int Width>
void packPanels(const GemmSide& side, int64_t line, int64_t lines, int64_t k0, int64_t k, int64_t units, float* out) {
  using T = typename Units::Stored;
  const T* data = static_cast<const T*>(side.data);
  const int64_t panels = (lines + Width - 1) / Width;
  constexpr int kUnitsAtOnce = 32;
  const auto put = [&](float* panel, int64_t unit, int group, const f32x16& v) {
    float* at = panel + unit * Width + group;
    // A full store may run into the next unit, which is written later; the last unit has nothing to run into.
    if (group + kWidth <= Width || unit + 2 < units) {
      store(at, v);
    } else {
      storePartial(at, v, Width - group);
    }
  };
  for (int64_t u0 = 0; u0 < units; u0 += kUnitsAtOnce) {
    const int64_t uEnd = u0 + kUnitsAtOnce < units ? u0 + kUnitsAtOnce : units;
    for (int64_t p = 0; p < panels; p++) {
      float* panel = out + p * units * Width;
      for (int group = 0; group < Width; group += kWidth) {
        const int64_t first = p * Width + group;
        const int64_t wanted = Width - group < kWidth ? Width - group : kWidth;
        const int64_t present = lines - first < wanted ? lines - first : wanted;
        if (side.kContiguous) {
          for (int64_t u = u0; u < uEnd; u += kWidth) {
            f32x16 r[16];
            const int64_t at = u * Units::kPerUnit;
            for (int64_t i = 0; i < kWidth; i++) {
              r[i] = i < present ? Units::alongK(data + (line + first + i) * side.stride + k0 + at, k - at) : zero();
            }
            transpose(r);
            for (int64_t j = 0; j < kWidth && u + j < uEnd; j++) put(panel, u + j, group, r[j]);
          }
        } else {
          for (int64_t u = u0; u < uEnd; u++) {
            const int64_t at = u * Units::kPerUnit;
            const T* p0 = data + (k0 + at) * side.stride + line + first;
            // Pieces of rows far apart are no stream that the core would follow by itself.
            __builtin_prefetch(p0 + kUnitsAtOnce * Units::kPerUnit * side.stride);
            if constexpr (Units::kPerUnit > 1) __builtin_prefetch(p0 + (kUnitsAtOnce * Units::kPerUnit + 1) * side.stride);
            put(panel, u, group, present > 0 ? Units::acrossLines(p0, side.stride, k - at, present) : zero());
          }
        }
      }
    }
  }
}

}  // namespace braid::BRAID_VARIANT
