// Products of few rows with 4- or 8-bit weights: each weight is read once from memory for up to 32 rows.
#include "packed_matrix_device.cuh"

namespace redraft::cuda {
namespace {

template <uint32_t kTiles>
struct MatmulShared {
  float sums[kMatrixWarps][kTiles][4][kWarpLanes];
};

// One block: the integer products of 16 outputs and kTiles x 8 rows, scaled and added to sums.
template <uint32_t kBits, uint32_t kTiles>
REDRAFT_DEVICE void add_block(const MatmulParams& p, const uint8_t* pair, const uint32_t (&a)[4], uint32_t half,
                              uint32_t block, uint32_t row_begin, float (&sums)[kTiles][4]) {
  const uint32_t g = lane_index() / 4, t = lane_index() % 4, block_count = p.x.in_count / kBlock;
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
    uint32_t b[2] = {};
    if (first + g < p.row_count) {
      const int8_t* from = p.x.values + static_cast<size_t>(first + g) * p.x.in_count + block * kBlock + 4 * t;
      b[0] = *reinterpret_cast<const uint32_t*>(from);
      b[1] = *reinterpret_cast<const uint32_t*>(from + 16);
    }
    int32_t c[4] = {};
    mma_s8(c, a, b);
#pragma unroll
    for (uint32_t column = 0; column < 2; ++column) {
      const uint32_t row = first + 2 * t + column;
      if (row >= p.row_count) continue;
      const size_t at = static_cast<size_t>(row) * block_count + block;
      const float x_scale = p.x.scales[at];
      const float x_sum = kBits == 4 ? p.x.sums[at] : 0;
#pragma unroll
      for (uint32_t i = 0; i < 2; ++i) {
        float& sum = sums[tile][2 * i + column];
        sum = fmaf(static_cast<float>(c[2 * i + column]), scale[i] * x_scale, sum);
        if constexpr (kBits == 4) sum = fmaf(minimum[i], x_sum, sum);
      }
    }
  }
}

// Warp w sums pairs w, w + 8, ... in order; then the eight sums are added as a tree. The order is the row's own: it
// knows nothing of the number of rows or tiles.
template <uint32_t kBits, uint32_t kTiles>
REDRAFT_DEVICE void multiply(const MatmulParams& p, MatmulShared<kTiles>& shared) {
  constexpr uint32_t kPairBytes = kBits == 4 ? kPairBytes4 : kPairBytes8;
  const uint32_t lane = lane_index(), warp = warp_index(), pairs = pair_count(p.w.in_count);
  const uint32_t row_begin = blockIdx.y * kTiles * kMatrixRows, block_count = p.w.in_count / kBlock;
  const uint8_t* strip = p.w.data + static_cast<size_t>(blockIdx.x) * pairs * kPairBytes;
  float sums[kTiles][4] = {};
  for (uint32_t pair = warp; pair < pairs; pair += kMatrixWarps) {
    const uint8_t* from = strip + static_cast<size_t>(pair) * kPairBytes;
    const Words4 low = *reinterpret_cast<const Words4*>(from + lane * 16);
    if constexpr (kBits == 8) {
      const Words4 high = *reinterpret_cast<const Words4*>(from + 512 + lane * 16);
      add_block<8>(p, from, low.at, 0, 2 * pair, row_begin, sums);
      if (2 * pair + 1 < block_count) add_block<8>(p, from, high.at, 1, 2 * pair + 1, row_begin, sums);
    } else {
#pragma unroll
      for (uint32_t half = 0; half < 2; ++half) {
        if (2 * pair + half >= block_count) continue;
        const uint32_t w0 = low.at[2 * half], w1 = low.at[2 * half + 1];
        const uint32_t a[4] = {w0 & 0x0f0f0f0fu, w1 & 0x0f0f0f0fu, (w0 >> 4) & 0x0f0f0f0fu, (w1 >> 4) & 0x0f0f0f0fu};
        add_block<4>(p, from, a, half, 2 * pair + half, row_begin, sums);
      }
    }
  }
  for (uint32_t tile = 0; tile < kTiles; ++tile)
    for (uint32_t i = 0; i < 4; ++i) shared.sums[warp][tile][i][lane] = sums[tile][i];
  __syncthreads();
  // 128 results a tile; consecutive threads write consecutive outputs of one row.
  for (uint32_t index = threadIdx.x; index < kTiles * kMatrixRows * kMatrixOutputs; index += kMatrixThreads) {
    const uint32_t output = index % kMatrixOutputs, in_tile = index / kMatrixOutputs % kMatrixRows;
    const uint32_t tile = index / (kMatrixOutputs * kMatrixRows), row = row_begin + tile * kMatrixRows + in_tile;
    const uint32_t out = blockIdx.x * kMatrixOutputs + output;
    if (row >= p.row_count || out >= p.w.out_count) continue;
    const uint32_t i = 2 * (output / 8) + in_tile % 2, from = (output % 8) * 4 + in_tile / 2;
    float s[kMatrixWarps];
    for (uint32_t w = 0; w < kMatrixWarps; ++w) s[w] = shared.sums[w][tile][i][from];
    p.y[static_cast<size_t>(row) * p.y_stride + out] =
        ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
  }
}

}  // namespace

REDRAFT_KERNEL(redraft_matmul8, MatmulParams, kMatrixThreads) {
  REDRAFT_SHARED(MatmulShared<1>, shared);
  multiply<8, 1>(p, shared);
}
REDRAFT_KERNEL(redraft_matmul8_wide, MatmulParams, kMatrixThreads) {
  REDRAFT_SHARED(MatmulShared<kMatrixTilesWide>, shared);
  multiply<8, kMatrixTilesWide>(p, shared);
}
REDRAFT_KERNEL(redraft_matmul4, MatmulParams, kMatrixThreads) {
  REDRAFT_SHARED(MatmulShared<1>, shared);
  multiply<4, 1>(p, shared);
}
REDRAFT_KERNEL(redraft_matmul4_wide, MatmulParams, kMatrixThreads) {
  REDRAFT_SHARED(MatmulShared<kMatrixTilesWide>, shared);
  multiply<4, kMatrixTilesWide>(p, shared);
}

// A CTA a row, a warp a block of 32.
REDRAFT_KERNEL(redraft_quantise, QuantiseParams, kQuantiseThreads) {
  const uint32_t row = blockIdx.x, blocks = p.rows.in_count / kBlock;
  const float* x = p.x + static_cast<size_t>(p.from ? p.from[row] : row) * p.x_stride;
  for (uint32_t block = warp_index(); block < blocks; block += kQuantiseThreads / kWarpLanes) {
    const uint32_t i = block * kBlock + lane_index();
    quantise_block(p.rows, row, block, i < p.x_count ? x[i] : 0);
  }
}

}  // namespace redraft::cuda
