// The inner kernel on the matrix unit of the CPU (Intel AMX): eight registers of 16 rows by 64 bytes, and one instruction that
// multiplies 16×32 by 32×16 bfloat16 numbers. Used where the pool says that the CPU and the system allow it.
#pragma once
#include "gemmPack.hpp"

#if defined(__AVX512BF16__) && defined(__x86_64__) && (defined(__clang__) || __GNUC__ >= 11)
#define BRAID_HAS_TILES 1

namespace braid::BRAID_VARIANT {

#define BRAID_TILES __attribute__((target("amx-tile,amx-bf16,prfchw")))

struct TileTiling {
  static constexpr int kRows = 32;  // two registers down, two across: four hold the sums, two each operand
  static constexpr int kColumns = 32;
  static constexpr int64_t kUnitsPerBlock = 512;
  static constexpr int64_t kPerUnit = 2;
  static constexpr int64_t kUnitsPerStep = kAheadUnits;
  static constexpr int64_t kLeftUnits = 128 * 1024;  // of a packed block of a: 512 KiB
  static constexpr int64_t kSharedUnits = 256 * 1024;  // of a packed block of b with several blocks of k: 1 MiB

  static int64_t unitsOf(int64_t k) { return (k + 31) / 32 * kUnitsPerStep; }

  // Panels of 32 rows: for each step of 16 units, the 16 units of one row after the other.
  static void packLeft(const GemmSide& a, int64_t row, int64_t rows, int64_t k0, int64_t k, float* out) {
    const bfloat16* data = static_cast<const bfloat16*>(a.data);
    const int64_t units = unitsOf(k);
    for (int64_t u = 0; u < units; u += kUnitsPerStep) {
      const int64_t at = 2 * u;
      for (int64_t first = 0; first < rows; first += kWidth) {
        float* to = out + first / kRows * kRows * units + u * kRows + first % kRows * kUnitsPerStep;
        const int64_t present = rows - first;
        f32x16 r[kWidth];
        if (a.kContiguous) {
          const bfloat16* from = data + (row + first) * a.stride + k0 + at;
          for (int64_t i = 0; i < kWidth; i++) {
            r[i] = i < present ? PairUnits::alongK(from + i * a.stride, k - at) : zero();
          }
        } else {
          const bfloat16* from = data + (k0 + at) * a.stride + row + first;
          for (int64_t i = 0; i < kWidth; i++) {
            r[i] = PairUnits::acrossLines(from + 2 * i * a.stride, a.stride, k - at - 2 * i, present);
          }
          transpose(r);
        }
        for (int64_t i = 0; i < kWidth; i++) store(to + i * kUnitsPerStep, r[i]);
      }
      // The lower half of a panel that ends in its upper half.
      if ((rows + kWidth - 1) / kWidth % 2 == 1) {
        float* to = out + rows / kRows * kRows * units + u * kRows + kWidth * kUnitsPerStep;
        for (int64_t i = 0; i < kWidth; i++) store(to + i * kUnitsPerStep, zero());
      }
    }
  }

  static void packRight(const GemmSide& b, int64_t column, int64_t columns, int64_t k0, int64_t k, float* out) {
    packPanels<PairUnits, kColumns>(b, column, columns, k0, k, unitsOf(k), out);
  }

  // Rows whose elements are neighbours are what the registers load; what is past the end of k would be loaded with them.
  static bool readsInPlace(const GemmSide& a, int64_t k) { return a.kContiguous && k % (2 * kUnitsPerStep) == 0; }
  static LeftPanel panelInPlace(const GemmSide& a, int64_t row, int64_t k0) {
    const bfloat16* at = static_cast<const bfloat16*>(a.data) + row * a.stride + k0;
    return {reinterpret_cast<const float*>(at), a.stride * 2, 64};
  }
  static LeftPanel packedPanel(const float* packed) { return {packed, 64, kRows * 64}; }

  struct Shape {
    uint8_t palette, startRow, reserved[14];
    uint16_t bytesPerRow[16];
    uint8_t rows[16];
  };

  // Shapes the registers of this thread, and lets go of them.
  struct Session {
    BRAID_TILES Session() {
      // Constant data: g++ does not know that the instruction reads all of it.
      alignas(64) static constexpr Shape kShape = {
          1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
      _tile_loadconfig(&kShape);
    }
    BRAID_TILES ~Session() { _tile_release(); }
  };

  static constexpr int kRightStride = kColumns * sizeof(float);

  // Tiles are stored as the registers hold them.
  static bool writesInPlace(int64_t rows, int64_t columns) { return rows % kWidth == 0 && columns % kWidth == 0; }

  static void multiply(int64_t rows, int64_t columns, int64_t units, const LeftPanel& left, const float* b,
                       const Ahead& ahead, const Place& to) {
    if (rows > kWidth) {
      if (columns > kWidth) return multiplyRegisters<2, 2>(units, left, b, ahead, to);
      return multiplyRegisters<2, 1>(units, left, b, ahead, to);
    }
    if (columns > kWidth) return multiplyRegisters<1, 2>(units, left, b, ahead, to);
    multiplyRegisters<1, 1>(units, left, b, ahead, to);
  }

 private:
  // 16·Down rows by 16·Across columns. Registers 0 to 3 hold the sums, two beside two, 4 and 5 rows of a, 6 and 7 columns of b.
  template <int Down, int Across>
  BRAID_TILES static void multiplyRegisters(int64_t units, const LeftPanel& left, const float* b, const Ahead& next,
                                            const Place& to) {
    Ahead ahead = next;
    const int64_t bytes = to.stride * static_cast<int64_t>(sizeof(float));
    float *upper = to.at, *lower = to.at + kWidth * to.stride;
    // The compiler does not see which memory the loads below read; everything stored before must be there.
    asm volatile("" ::: "memory");
    if (to.adds) {
      _tile_loadd(0, upper, bytes);
      if constexpr (Across > 1) _tile_loadd(1, upper + kWidth, bytes);
      if constexpr (Down > 1) _tile_loadd(2, lower, bytes);
      if constexpr (Down > 1 && Across > 1) _tile_loadd(3, lower + kWidth, bytes);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    const char* a = reinterpret_cast<const char*>(left.data);
    const int64_t rowBytes = left.rowBytes, below = kWidth * rowBytes;
    const int64_t linesPerStep = (ahead.rows * kUnitsPerStep + units - 1) / units;
    for (int64_t u = 0; u < units; u += kUnitsPerStep) {
      ahead.fetch(linesPerStep);
      _tile_loadd(4, a, rowBytes);
      _tile_loadd(6, b, kRightStride);
      if constexpr (Across > 1) _tile_loadd(7, b + kWidth, kRightStride);
      if constexpr (Down > 1) _tile_loadd(5, a + below, rowBytes);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (Across > 1) _tile_dpbf16ps(1, 4, 7);
      if constexpr (Down > 1) _tile_dpbf16ps(2, 5, 6);
      if constexpr (Down > 1 && Across > 1) _tile_dpbf16ps(3, 5, 7);
      a += left.stepBytes;
      b += kColumns * kUnitsPerStep;
    }
    _tile_stored(0, upper, bytes);
    if constexpr (Across > 1) _tile_stored(1, upper + kWidth, bytes);
    if constexpr (Down > 1) _tile_stored(2, lower, bytes);
    if constexpr (Down > 1 && Across > 1) _tile_stored(3, lower + kWidth, bytes);
  }
};

#undef BRAID_TILES

}  // namespace braid::BRAID_VARIANT

#endif
