#include "dense_weights.h"

#include <algorithm>

#include "../common/dense_matrix.cuh"
#include "../common/e4m3.h"
#include "../common/half.h"

namespace redraft::cuda {

std::vector<uint16_t> bf16_weights(const PackedMatrix& matrix) {
  const size_t in_count = matrix.in_count();
  std::vector<uint16_t> weights(matrix.strip_count() * kStripOutputs * in_count);
  std::vector<float> row(in_count);
  for (size_t out = 0; out < matrix.out_count(); ++out) {
    matrix.unpack_row(out, row.data());
    std::transform(row.begin(), row.end(), weights.begin() + static_cast<ptrdiff_t>(out * in_count), f32_to_bf16);
  }
  return weights;
}

E4m3Weights e4m3_weights(const PackedMatrix& matrix) {
  const size_t in_count = matrix.in_count(), outs = matrix.strip_count() * kStripOutputs;
  const size_t strip_bytes = pair_count(static_cast<uint32_t>(in_count)) * kPairBytesE4m3;
  E4m3Weights weights{std::vector<uint8_t>(e4m3_bytes(outs, static_cast<uint32_t>(in_count))),
                      std::vector<float>(outs)};
  std::vector<float> row(in_count);
  for (size_t out = 0; out < matrix.out_count(); ++out) {
    matrix.unpack_row(out, row.data());
    float largest = 0;
    for (const float weight : row) largest = std::max(largest, std::fabs(weight));
    const float scale = weights.scales[out] = largest / kE4m3Max;
    uint8_t* strip = weights.bytes.data() + out / kMatrixOutputs * strip_bytes;
    const size_t j = out % kMatrixOutputs;
    for (size_t i = 0; i < in_count; ++i) {
      // As 8-bit weights lie: input 4 t + b of a block's half h in byte b of the word of lane (j % 8, t).
      const size_t lane = j % 8 * 4 + i % 16 / 4, word = j / 8 + 2 * (i % kBlock / 16);
      strip[i / kBlock * 512 + lane * 16 + word * 4 + i % 4] = scale > 0 ? f32_to_e4m3(row[i] / scale) : 0;
    }
  }
  return weights;
}

}  // namespace redraft::cuda
