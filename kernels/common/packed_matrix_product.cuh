// The product of one strip of weights with tiles of rows, for kernels.
#pragma once
#include "packed_matrix_device.cuh"

namespace redraft::cuda {

// One block: the integer products of 16 outputs and kTiles x 8 rows, scaled and added to sums.
template <uint32_t kBits, uint32_t kTiles>
REDRAFT_DEVICE void add_block(const DeviceRows& x, const uint8_t* pair, const uint32_t (&a)[4], uint32_t half,
                              uint32_t block, uint32_t row_begin, uint32_t row_count, float (&sums)[kTiles][4]) {
  const uint32_t g = lane_index() / 4, t = lane_index() % 4, block_count = x.in_count / kBlock;
  float scale[2], minimum[2] = {};
  for (uint32_t i = 0; i < 2; ++i) {
    if constexpr (kBits == 8) {
      scale[i] = reinterpret_cast<const float*>(pair + 1024)[half * 16 + g + 8 * i];
    } else {
      const uint16_t* halves = reinterpret_cast<const uint16_t*>(pair + 512);
      scale[i] = half_to_float(halves[half * 16 + g + 8 * i]);
      minimum[i] = half_to_float(halves[32 + half * 16 + g + 8 * i]);
    }
  }
#pragma unroll
  for (uint32_t tile = 0; tile < kTiles; ++tile) {
    const uint32_t first = row_begin + tile * kMatrixRows;
    uint32_t high[2] = {}, low[2] = {};
    if (first + g < row_count) {
      const int8_t* from = x.values + (static_cast<size_t>(first + g) * block_count + block) * 2 * kBlock + 4 * t;
      for (uint32_t i = 0; i < 2; ++i) {
        high[i] = *reinterpret_cast<const uint32_t*>(from + 16 * i);
        low[i] = *reinterpret_cast<const uint32_t*>(from + kBlock + 16 * i);
      }
    }
    int32_t c[4] = {};
    mma_s8(c, a, high);
    for (uint32_t i = 0; i < 4; ++i) c[i] *= 128;
    mma_s8(c, a, low);
#pragma unroll
    for (uint32_t column = 0; column < 2; ++column) {
      const uint32_t row = first + 2 * t + column;
      if (row >= row_count) continue;
      const size_t at = static_cast<size_t>(row) * block_count + block;
      const float x_scale = x.scales[at];
      const float x_sum = kBits == 4 ? x.sums[at] : 0;
#pragma unroll
      for (uint32_t i = 0; i < 2; ++i) {
        float& sum = sums[tile][2 * i + column];
        sum = fmaf(static_cast<float>(c[2 * i + column]), scale[i] * x_scale, sum);
        if constexpr (kBits == 4) sum = fmaf(minimum[i], x_sum, sum);
      }
    }
  }
}

// Adds pairs first, first + step, ... of a strip's blocks, in order, for the rows of kTiles tiles from row_begin on.
template <uint32_t kBits, uint32_t kTiles>
REDRAFT_DEVICE void add_pairs(const DeviceMatrix& w, const DeviceRows& x, uint32_t strip, uint32_t first, uint32_t step,
                              uint32_t row_begin, uint32_t row_count, float (&sums)[kTiles][4]) {
  constexpr uint32_t kPairBytes = kBits == 4 ? kPairBytes4 : kPairBytes8;
  const uint32_t pairs = pair_count(w.in_count), block_count = w.in_count / kBlock;
  const uint8_t* bytes = w.data + static_cast<size_t>(strip) * pairs * kPairBytes;
  for (uint32_t pair = first; pair < pairs; pair += step) {
    const uint8_t* from = bytes + static_cast<size_t>(pair) * kPairBytes;
    const Words4 low = *reinterpret_cast<const Words4*>(from + lane_index() * 16);
    if constexpr (kBits == 8) {
      const Words4 high = *reinterpret_cast<const Words4*>(from + 512 + lane_index() * 16);
      add_block<8>(x, from, low.at, 0, 2 * pair, row_begin, row_count, sums);
      if (2 * pair + 1 < block_count) add_block<8>(x, from, high.at, 1, 2 * pair + 1, row_begin, row_count, sums);
    } else {
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        if (2 * pair + half >= block_count) continue;
        const uint32_t w0 = low.at[2 * half], w1 = low.at[2 * half + 1];
        const uint32_t a[4] = {w0 & 0x0f0f0f0fu, w1 & 0x0f0f0f0fu, (w0 >> 4) & 0x0f0f0f0fu, (w1 >> 4) & 0x0f0f0f0fu};
        add_block<4>(x, from, a, half, 2 * pair + half, row_begin, row_count, sums);
      }
    }
  }
}

// What the warps of a CTA have summed of one strip's products: kept, and after a barrier added as a tree and written.
template <uint32_t kTiles>
struct MatmulShared {
  float sums[kMatrixWarps][kTiles][4][kWarpLanes];
};
template <uint32_t kTiles>
REDRAFT_DEVICE void keep_sums(MatmulShared<kTiles>& shared, const float (&sums)[kTiles][4]) {
  for (uint32_t tile = 0; tile < kTiles; ++tile)
    for (uint32_t i = 0; i < 4; ++i) shared.sums[warp_index()][tile][i][lane_index()] = sums[tile][i];
}
template <uint32_t kTiles>
REDRAFT_DEVICE void write_sums(const MatmulShared<kTiles>& shared, float* y, uint32_t y_stride, uint32_t out_count,
                               uint32_t row_begin, uint32_t row_count) {
  // 128 results a tile; consecutive threads write consecutive outputs of one row.
  for (uint32_t index = threadIdx.x; index < kTiles * kMatrixRows * kMatrixOutputs; index += kMatrixThreads) {
    const uint32_t output = index % kMatrixOutputs, in_tile = index / kMatrixOutputs % kMatrixRows;
    const uint32_t tile = index / (kMatrixOutputs * kMatrixRows), row = row_begin + tile * kMatrixRows + in_tile;
    const uint32_t out = blockIdx.x * kMatrixOutputs + output;
    if (row >= row_count || out >= out_count) continue;
    const uint32_t i = 2 * (output / 8) + in_tile % 2, from = (output % 8) * 4 + in_tile / 2;
    float s[kMatrixWarps];
    for (uint32_t w = 0; w < kMatrixWarps; ++w) s[w] = shared.sums[w][tile][i][from];
    y[static_cast<size_t>(row) * y_stride + out] = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
  }
}

}  // namespace redraft::cuda
