// Products of few rows with 4- or 8-bit weights: each weight is read once from memory for up to 32 rows.
#include "packed_matrix_device.cuh"
#include "packed_matrix_product.cuh"

namespace redraft::cuda {
namespace {

// Warp w sums pairs w, w + 8, ... in order; then the eight sums are added as a tree. The order is the row's own: it
// knows nothing of the number of rows or tiles.
template <uint32_t kBits, uint32_t kTiles>
REDRAFT_DEVICE void multiply(const MatmulParams& p, MatmulShared<kTiles>& shared) {
  const uint32_t warp = warp_index(), row_begin = blockIdx.y * kTiles * kMatrixRows;
  const uint32_t row_count = count_of(p.row_count);
  if (row_begin >= row_count) return;
  float sums[kTiles][4] = {};
  add_pairs<kBits, kTiles>(p.w, p.x, blockIdx.x, warp, kMatrixWarps, row_begin, row_count, sums);
  keep_sums(shared, sums);
  __syncthreads();
  write_sums(shared, p.y, p.y_stride, p.w.out_count, row_begin, row_count);
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
