// Products of few rows with 4- or 8-bit weights: each weight is read once from memory for up to 32 rows.
#include "packed_matrix_device.cuh"
#include "packed_matrix_product.cuh"

namespace redraft::cuda {
namespace {

template <uint32_t kTiles>
struct MatmulShared {
  float sums[kMatrixWarps][kTiles][4][kWarpLanes];
};

// Warp w sums pairs w, w + 8, ... in order; then the eight sums are added as a tree. The order is the row's own: it
// knows nothing of the number of rows or tiles.
template <uint32_t kBits, uint32_t kTiles>
REDRAFT_DEVICE void multiply(const MatmulParams& p, MatmulShared<kTiles>& shared) {
  const uint32_t lane = lane_index(), warp = warp_index(), row_begin = blockIdx.y * kTiles * kMatrixRows;
  const uint32_t row_count = count_of(p.row_count);
  if (row_begin >= row_count) return;
  float sums[kTiles][4] = {};
  add_pairs<kBits, kTiles>(p.w, p.x, blockIdx.x, warp, kMatrixWarps, row_begin, row_count, sums);
  for (uint32_t tile = 0; tile < kTiles; ++tile)
    for (uint32_t i = 0; i < 4; ++i) shared.sums[warp][tile][i][lane] = sums[tile][i];
  __syncthreads();
  // 128 results a tile; consecutive threads write consecutive outputs of one row.
  for (uint32_t index = threadIdx.x; index < kTiles * kMatrixRows * kMatrixOutputs; index += kMatrixThreads) {
    const uint32_t output = index % kMatrixOutputs, in_tile = index / kMatrixOutputs % kMatrixRows;
    const uint32_t tile = index / (kMatrixOutputs * kMatrixRows), row = row_begin + tile * kMatrixRows + in_tile;
    const uint32_t out = blockIdx.x * kMatrixOutputs + output;
    if (row >= row_count || out >= p.w.out_count) continue;
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
  if (blockIdx.x >= count_of(p.row_count)) return;
  const uint32_t row = blockIdx.x, blocks = p.rows.in_count / kBlock;
  const float* x = p.x + static_cast<size_t>(p.from ? p.from[row] : row) * p.x_stride;
  for (uint32_t block = warp_index(); block < blocks; block += blockDim.x / kWarpLanes) {
    const uint32_t i = block * kBlock + lane_index();
    quantise_block(p.rows, row, block, i < p.x_count ? x[i] : 0);
  }
}

}  // namespace redraft::cuda
