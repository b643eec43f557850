#include "weight_view.h"

#include <cstring>

#include "error.h"
#include "half.h"

namespace redraft {
namespace {

// Block layouts: ggml-common.h of ggml (block_q4_0 ... block_q6_K).
float f16_at(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, 2);
  return f16_to_f32(half);
}

// Q4_0: d, 16 bytes; Q4_1: d, m, 16 bytes. Byte i: weight i in the low nibble, i + 16 in the high one.
void block_q4(const uint8_t* nibbles, float d, float m, float* out) {
  for (size_t i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>(nibbles[i] & 15) + m;
    out[i + 16] = d * static_cast<float>(nibbles[i] >> 4) + m;
  }
}

// Q5: as Q4, the fifth bits in a 32-bit word, bit i for weight i.
void block_q5(const uint8_t* high, const uint8_t* nibbles, float d, float m, float* out) {
  uint32_t bits;
  std::memcpy(&bits, high, 4);
  for (size_t i = 0; i < 16; ++i) {
    out[i] = d * static_cast<float>((nibbles[i] & 15) | ((bits >> i & 1) << 4)) + m;
    out[i + 16] = d * static_cast<float>((nibbles[i] >> 4) | ((bits >> (i + 16) & 1) << 4)) + m;
  }
}

// Q4_K: d, dmin (f16), 12 bytes of eight 6-bit (scale, minimum) pairs, 128 bytes of nibbles: 256 weights.
void block_q4_k(const uint8_t* block, float* out) {
  const float d = f16_at(block), dmin = f16_at(block + 2);
  const uint8_t* packed = block + 4;
  const uint8_t* nibbles = block + 16;
  for (size_t j = 0; j < 8; ++j) {
    const int scale = j < 4 ? packed[j] & 63 : (packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4);
    const int minimum = j < 4 ? packed[j + 4] & 63 : (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4);
    const uint8_t* part = nibbles + (j / 2) * 32;
    for (size_t i = 0; i < 32; ++i) {
      const int q = j % 2 ? part[i] >> 4 : part[i] & 15;
      out[j * 32 + i] = d * static_cast<float>(scale) * static_cast<float>(q) - dmin * static_cast<float>(minimum);
    }
  }
}

// Q6_K: 128 bytes of low nibbles, 64 of two high bits, 16 int8 scales, d (f16): 256 weights.
void block_q6_k(const uint8_t* block, float* out) {
  const float d = f16_at(block + 208);
  for (size_t half = 0; half < 2; ++half) {
    const uint8_t* low = block + half * 64;
    const uint8_t* high = block + 128 + half * 32;
    const uint8_t* scales = block + 192 + half * 8;
    float* part = out + half * 128;
    for (size_t i = 0; i < 32; ++i) {
      for (size_t quarter = 0; quarter < 4; ++quarter) {
        const uint8_t byte = low[i + (quarter % 2) * 32];
        const int nibble = quarter < 2 ? byte & 15 : byte >> 4;
        const int q = (nibble | ((high[i] >> (2 * quarter) & 3) << 4)) - 32;
        const float scale = static_cast<float>(static_cast<int8_t>(scales[quarter * 2 + i / 16]));
        part[quarter * 32 + i] = d * scale * static_cast<float>(q);
      }
    }
  }
}

void dequantise_block(WeightType type, const uint8_t* block, float* out) {
  switch (type) {
    case WeightType::F32: std::memcpy(out, block, 4); return;
    case WeightType::F16: *out = f16_at(block); return;
    case WeightType::BF16: {
      uint16_t half;
      std::memcpy(&half, block, 2);
      *out = bf16_to_f32(half);
      return;
    }
    case WeightType::Q4_0: return block_q4(block + 2, f16_at(block), -8 * f16_at(block), out);
    case WeightType::Q4_1: return block_q4(block + 4, f16_at(block), f16_at(block + 2), out);
    case WeightType::Q5_0: return block_q5(block + 2, block + 6, f16_at(block), -16 * f16_at(block), out);
    case WeightType::Q5_1: return block_q5(block + 4, block + 8, f16_at(block), f16_at(block + 2), out);
    case WeightType::Q8_0:
      for (size_t i = 0; i < 32; ++i) out[i] = f16_at(block) * static_cast<float>(static_cast<int8_t>(block[2 + i]));
      return;
    case WeightType::Q4_K: return block_q4_k(block, out);
    case WeightType::Q6_K: return block_q6_k(block, out);
  }
  throw Error(REDRAFT_UNSUPPORTED, "cannot read weights: unknown type " + std::to_string(static_cast<uint32_t>(type)));
}

}  // namespace

WeightBlock weight_block(WeightType type) {
  switch (type) {
    case WeightType::F32: return {1, 4};
    case WeightType::F16:
    case WeightType::BF16: return {1, 2};
    case WeightType::Q4_0: return {32, 18};
    case WeightType::Q4_1: return {32, 20};
    case WeightType::Q5_0: return {32, 22};
    case WeightType::Q5_1: return {32, 24};
    case WeightType::Q8_0: return {32, 34};
    case WeightType::Q4_K: return {256, 144};
    case WeightType::Q6_K: return {256, 210};
  }
  return {0, 0};
}

const char* weight_type_name(WeightType type) {
  switch (type) {
    case WeightType::F32: return "F32";
    case WeightType::F16: return "F16";
    case WeightType::BF16: return "BF16";
    case WeightType::Q4_0: return "Q4_0";
    case WeightType::Q4_1: return "Q4_1";
    case WeightType::Q5_0: return "Q5_0";
    case WeightType::Q5_1: return "Q5_1";
    case WeightType::Q8_0: return "Q8_0";
    case WeightType::Q4_K: return "Q4_K";
    case WeightType::Q6_K: return "Q6_K";
  }
  return nullptr;
}

size_t weight_row_bytes(WeightType type, size_t in_count) {
  const WeightBlock block = weight_block(type);
  if (block.weights == 0 || in_count % block.weights != 0) return 0;
  return in_count / block.weights * block.bytes;
}

void dequantise_row(const WeightView& view, size_t row, float* out) {
  const WeightBlock block = weight_block(view.type);
  const uint8_t* bytes = view.bytes + row * weight_row_bytes(view.type, view.in_count);
  for (size_t i = 0; i < view.in_count; i += block.weights, bytes += block.bytes)
    dequantise_block(view.type, bytes, out + i);
}

}  // namespace redraft
