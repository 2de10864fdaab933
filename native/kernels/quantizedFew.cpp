// Products of few rows with quantized weights, as in generation: time goes into reading the weights once, so they are
// widened in registers, and nothing but their scales is stored in between.
#include "gemmFinish.hpp"
#include "quantized.hpp"

namespace braid::BRAID_VARIANT {
namespace {

constexpr int kAcross = 4;  // lines at a time
constexpr int64_t kColumns = 16;
constexpr int64_t kAheadBytes = 4096;  // how far ahead of their use weights are asked for, as in gemmFew.cpp

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// The lines of one tile, with the scales of each as floats.
struct Lines {
  const int32_t* packed[kAcross];
  const float* scales[kAcross];
  int64_t aheadWords;
};

// Floats: a row of a as the even and the odd elements of each group, and the sum of each group, times half the range:
// what the sum over the stored integers has too much.
struct SplitRows {
  static size_t bytes(const GemmArguments& g, const QuantizedWeight& w) {
    return static_cast<size_t>(g.m * (g.k + w.groups)) * sizeof(float);
  }

  const float* elements;
  const float* excess;
  int64_t groups;

  SplitRows(const GemmArguments& g, const QuantizedWeight& w, std::byte* memory) : groups(w.groups) {
    float* at = reinterpret_cast<float*>(memory);
    float* sums = at + g.m * g.k;
    elements = at;
    excess = sums;
    for (int64_t row = 0; row < g.m; row++) {
      for (int64_t group = 0; group < groups; group++) {
        const int64_t first = row * g.a.stride + group * kQuantizedGroup;
        float sum = 0;
        for (int64_t i = 0; i < kQuantizedGroup; i++) {
          const float x = g.a.dtype == DType::bfloat16 ? widen(static_cast<const bfloat16*>(g.a.data)[first + i])
                                                       : static_cast<const float*>(g.a.data)[first + i];
          at[(i % 2) * kWidth + i / 2] = x;
          sum += x;
        }
        at += kQuantizedGroup;
        *sums++ = sum * w.half();
      }
    }
  }

  template <int Rows, int Bits>
  void multiply(const Lines& lines, int64_t row, int64_t lastRow, float* tile) const {
    f32x16 sums[Rows][kAcross] = {};
    float less[Rows][kAcross] = {};
    const float *a[Rows], *tooMuch[Rows];
    for (int r = 0; r < Rows; r++) {
      a[r] = elements + smaller(row + r, lastRow) * groups * kQuantizedGroup;
      tooMuch[r] = excess + smaller(row + r, lastRow) * groups;
    }
    constexpr int kGroups = 16 / Bits;
    for (int64_t first = 0; first < groups; first += kGroups) {
      const int64_t word = first / kGroups * kBlockWords;
      for (int c = 0; c < kAcross; c++) {
        __builtin_prefetch(lines.packed[c] + word + lines.aheadWords);
        const i32x16 block = load(lines.packed[c] + word);
        for (int p = 0; p < kGroups && first + p < groups; p++) {
          const int64_t g = first + p;
          const float scale = lines.scales[c][g];
          const f32x16 even = levels(block, p * Bits, Bits), odd = levels(block, p * Bits + 16, Bits);
          for (int r = 0; r < Rows; r++) {
            const float* x = a[r] + g * kQuantizedGroup;
            sums[r][c] = (even * load(x) + odd * load(x + kWidth)) * scale + sums[r][c];
            less[r][c] += tooMuch[r][g] * scale;
          }
        }
      }
    }
    for (int r = 0; r < Rows; r++) {
      for (int c = 0; c < kAcross; c++) tile[r * kColumns + c] = sum(sums[r][c]) - less[r][c];
    }
  }
};

#if defined(__AVX512BF16__)
// Integers of 4 bits as bfloat16 numbers by looking them up, 32 at a time; those of 8 bits as the sum of two such numbers. The
// look-up reads five bits of an index, so the table stands there twice and the fifth bit does not matter.
struct HalfRows {
  const bfloat16* elements;
  int64_t stride, groups;

  template <int Bits>
  struct Tables {
    __m512i low, high;
    Tables() {
      alignas(64) bfloat16 lows[32], highs[32];
      for (int i = 0; i < 32; i++) {
        lows[i] = narrow(static_cast<float>(i % 16) - (Bits == 4 ? 8.0f : 0.0f));
        highs[i] = narrow(static_cast<float>(i % 16) * 16 - 128.0f);
      }
      low = _mm512_load_si512(lows);
      high = _mm512_load_si512(highs);
    }
  };

  template <int Rows, int Bits>
  void multiply(const Lines& lines, int64_t row, int64_t lastRow, float* tile) const {
    const Tables<Bits> tables;
    __m512 sums[Rows][kAcross];
    const bfloat16* a[Rows];
    for (int r = 0; r < Rows; r++) {
      a[r] = elements + smaller(row + r, lastRow) * stride;
      for (int c = 0; c < kAcross; c++) sums[r][c] = _mm512_setzero_ps();
    }
    constexpr int kGroups = 16 / Bits;
    for (int64_t first = 0; first < groups; first += kGroups) {
      const int64_t word = first / kGroups * kBlockWords;
      const int present = static_cast<int>(smaller(kGroups, groups - first));
      for (int c = 0; c < kAcross; c++) {
        __builtin_prefetch(lines.packed[c] + word + lines.aheadWords);
        const __m512i block = _mm512_loadu_si512(lines.packed[c] + word);
        const float* scales = lines.scales[c] + first;
        const auto group = [&](int p) {
          const __m512i shifted = _mm512_srl_epi16(block, _mm_cvtsi32_si128(p * Bits));
          const __m512bh low = (__m512bh)_mm512_permutexvar_epi16(shifted, tables.low);
          const __m512 scale = _mm512_set1_ps(scales[p]);
          [[maybe_unused]] __m512bh high{};
          if constexpr (Bits == 8) {
            high = (__m512bh)_mm512_permutexvar_epi16(_mm512_srli_epi16(shifted, 4), tables.high);
          }
          for (int r = 0; r < Rows; r++) {
            const __m512bh x = (__m512bh)_mm512_loadu_si512(a[r] + (first + p) * kQuantizedGroup);
            __m512 part = _mm512_dpbf16_ps(_mm512_setzero_ps(), x, low);
            if constexpr (Bits == 8) part = _mm512_dpbf16_ps(part, x, high);
            sums[r][c] = _mm512_fmadd_ps(part, scale, sums[r][c]);
          }
        };
        if (present == kGroups) {
#pragma GCC unroll 4
          for (int p = 0; p < kGroups; p++) group(p);
        } else {
          for (int p = 0; p < present; p++) group(p);
        }
      }
    }
    for (int r = 0; r < Rows; r++) {
      for (int c = 0; c < kAcross; c++) tile[r * kColumns + c] = sum((f32x16)sums[r][c]);
    }
  }
};
#endif

// Rows row … row + Rows − 1 of sixteen columns. Lines past the last repeat it: their results are not used.
template <int Rows, int Bits, typename Operand>
void multiplyRows(const GemmArguments& g, const QuantizedWeight& w, const Operand& a, const float* scales, int64_t row,
                  int64_t column, int64_t columns) {
  alignas(64) float tile[Rows * kColumns] = {};
  for (int64_t c = 0; c < columns; c += kAcross) {
    Lines lines;
    for (int i = 0; i < kAcross; i++) {
      const int64_t line = smaller(c + i, columns - 1);
      lines.packed[i] = w.packed + (column + line) * w.words;
      lines.scales[i] = scales + line * w.groups;
    }
    const int64_t least = kAheadBytes / static_cast<int64_t>(sizeof(int32_t));
    lines.aheadWords = kAcross * w.words < least ? least : kAcross * w.words;
    a.template multiply<Rows, Bits>(lines, row, g.m - 1, tile + c);
  }
  finish(g, tile, kColumns, row, column, smaller(Rows, g.m - row), columns, true);
}

// Columns [begin, end). `scales` has room for those of sixteen lines.
template <int Bits, typename Operand>
void multiplyColumns(const GemmArguments& g, const QuantizedWeight& w, const Operand& a, float* scales, int64_t begin,
                     int64_t end) {
  for (int64_t column = begin; column < end; column += kColumns) {
    const int64_t columns = smaller(kColumns, end - column), count = columns * w.groups;
    const bfloat16* from = w.scales + column * w.groups;
    int64_t i = 0;
    for (; i + kWidth <= count; i += kWidth) store(scales + i, load(from + i));
    for (; i < count; i++) scales[i] = widen(from[i]);
    if (g.m == 1) {
      multiplyRows<1, Bits>(g, w, a, scales, 0, column, columns);
    } else {
      for (int64_t row = 0; row < g.m; row += 4) multiplyRows<4, Bits>(g, w, a, scales, row, column, columns);
    }
  }
}

template <typename Operand>
void multiplyAll(Team& team, const GemmArguments& g, const QuantizedWeight& w, const Operand& a) {
  const size_t scaleBytes = static_cast<size_t>(kColumns * w.groups) * sizeof(float);
  team.split(g.n, kColumns, [&](int64_t begin, int64_t end, int thread) {
    float* scales = reinterpret_cast<float*>(team.scratch(thread, scaleBytes, Scratch::gemm));
    if (w.bits == 8) return multiplyColumns<8>(g, w, a, scales, begin, end);
    multiplyColumns<4>(g, w, a, scales, begin, end);
  });
}

}  // namespace

void multiplyQuantizedFew(Team& team, const GemmArguments& g, const QuantizedWeight& w) {
#if defined(__AVX512BF16__)
  if (g.a.dtype == DType::bfloat16) {
    return multiplyAll(team, g, w, HalfRows{static_cast<const bfloat16*>(g.a.data), g.a.stride, w.groups});
  }
#endif
  multiplyAll(team, g, w, SplitRows(g, w, team.scratch(0, SplitRows::bytes(g, w), Scratch::gemmShared)));
}

}  // namespace braid::BRAID_VARIANT
