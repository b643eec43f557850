// Weights as they lie in a file: the quantised formats of GGUF, read element by element. The slow, plain side.
#pragma once
#include <cstddef>
#include <cstdint>

namespace redraft {

// Numbers are those of the GGUF format (ggml.h, enum ggml_type).
enum class WeightType : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q4_K = 12,
  Q6_K = 14,
  BF16 = 30,
};

// Row-major [out_count, in_count]; each row is whole quantisation blocks.
struct WeightView {
  WeightType type;
  const uint8_t* bytes;
  size_t out_count;
  size_t in_count;
};

struct WeightBlock {
  size_t weights;  // In one quantisation block.
  size_t bytes;
};
// {0, 0} if the type is unknown.
WeightBlock weight_block(WeightType type);
// nullptr if unknown.
const char* weight_type_name(WeightType type);
// Bytes of a row of in_count weights; 0 if the type is unknown or in_count is not whole blocks.
size_t weight_row_bytes(WeightType type, size_t in_count);
// out: [in_count].
void dequantise_row(const WeightView& view, size_t row, float* out);

}  // namespace redraft
