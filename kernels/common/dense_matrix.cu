#include "dense_matrix.cuh"

#include "packed_matrix_product.cuh"

namespace redraft::cuda {
namespace {

// Lane (g, t) has inputs 8 t .. 8 t + 7 of 32: the matrix instruction does not mind which it calls its first, as long
// as weights and rows agree.
template <uint32_t kTiles>
REDRAFT_DEVICE void add_chunks(const MatmulBf16Params& p, uint32_t row_begin, uint32_t row_count,
                               float (&sums)[kTiles][4]) {
  const uint32_t g = lane_index() / 4, t = lane_index() % 4;
  const uint16_t* w = p.w + static_cast<size_t>(blockIdx.x * kMatrixOutputs + g) * p.in_count + 8 * t;
  for (uint32_t first = warp_index() * kBlock; first < p.in_count; first += kMatrixWarps * kBlock) {
    const Words4 upper = *reinterpret_cast<const Words4*>(w + first);
    const Words4 lower = *reinterpret_cast<const Words4*>(w + size_t{8} * p.in_count + first);
    const uint32_t a[2][4] = {{upper.at[0], lower.at[0], upper.at[1], lower.at[1]},
                              {upper.at[2], lower.at[2], upper.at[3], lower.at[3]}};
#pragma unroll
    for (uint32_t tile = 0; tile < kTiles; ++tile) {
      const uint32_t row = row_begin + tile * kMatrixRows + g;
      Words4 x = {};
      if (row < row_count)
        x = *reinterpret_cast<const Words4*>(p.x + static_cast<size_t>(row) * p.in_count + first + 8 * t);
      const uint32_t b[2][2] = {{x.at[0], x.at[1]}, {x.at[2], x.at[3]}};
      mma_bf16(sums[tile], a[0], b[0]);
      mma_bf16(sums[tile], a[1], b[1]);
    }
  }
}

template <uint32_t kTiles>
REDRAFT_DEVICE void multiply(const MatmulBf16Params& p, MatmulShared<kTiles>& shared) {
  const uint32_t row_begin = blockIdx.y * kTiles * kMatrixRows, row_count = count_of(p.row_count);
  if (row_begin >= row_count) return;
  float sums[kTiles][4] = {};
  add_chunks<kTiles>(p, row_begin, row_count, sums);
  keep_sums(shared, sums);
  __syncthreads();
  write_sums(shared, p.y, p.y_stride, p.out_count, row_begin, row_count);
}

// Two E4M3 values as two halves, both 2^-8 times as large: their exponents differ by 8 from a half's, and no value is
// lost. low: bytes 0 and 1 of a word, else 2 and 3.
REDRAFT_DEVICE uint32_t e4m3_halves(uint32_t word, bool low) {
  const uint32_t two = low ? word : word >> 16;
  const uint32_t apart = (two & 0xffu) | (two & 0xff00u) << 8;
  return (apart & 0x00800080u) << 8 | (apart & 0x007f007fu) << 7;
}
// Two bytes as two halves, exact: 1024 + 128 + byte is a half whose last bits are the byte's.
REDRAFT_DEVICE uint32_t byte_halves(uint32_t word, bool low) {
  const uint32_t two = low ? word : word >> 16;
  const uint32_t apart = (two & 0xffu) | (two & 0xff00u) << 8;
  return half2_subtract((apart ^ 0x00800080u) | 0x64006400u, 0x64806480u);
}
constexpr float kE4m3Scale = 256;  // Undoes the 2^-8.

// One block of 32 inputs: a row's high bytes, then its low ones, as DeviceRows has them.
template <uint32_t kTiles>
REDRAFT_DEVICE void add_block_e4m3(const DeviceRows& x, const Words4& w, uint32_t block, uint32_t row_begin,
                                   uint32_t row_count, float (&sums)[kTiles][4]) {
  const uint32_t g = lane_index() / 4, t = lane_index() % 4, block_count = x.in_count / kBlock;
  uint32_t a[2][4];
#pragma unroll
  for (uint32_t i = 0; i < 2; ++i)
#pragma unroll
    for (uint32_t j = 0; j < 4; ++j) a[i][j] = e4m3_halves(w.at[2 * i + j % 2], j < 2);
#pragma unroll
  for (uint32_t tile = 0; tile < kTiles; ++tile) {
    const uint32_t first = row_begin + tile * kMatrixRows;
    uint32_t words[4] = {};
    if (first + g < row_count) {
      const int8_t* from = x.values + (static_cast<size_t>(first + g) * block_count + block) * 2 * kBlock + 4 * t;
#pragma unroll
      for (uint32_t i = 0; i < 4; ++i) words[i] = *reinterpret_cast<const uint32_t*>(from + 16 * i);
    }
    float c[4] = {};
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) {
      const uint32_t b[2] = {byte_halves(words[i], true), byte_halves(words[i], false)};
      mma_f16(c, a[i % 2], b);
      if (i == 1)
        for (uint32_t j = 0; j < 4; ++j) c[j] *= 128;
    }
#pragma unroll
    for (uint32_t column = 0; column < 2; ++column) {
      const uint32_t row = first + 2 * t + column;
      if (row >= row_count) continue;
      const float scale = x.scales[static_cast<size_t>(row) * block_count + block];
      for (uint32_t i = 0; i < 2; ++i) {
        float& sum = sums[tile][2 * i + column];
        sum = fmaf(c[2 * i + column], scale, sum);
      }
    }
  }
}

template <uint32_t kTiles>
REDRAFT_DEVICE void multiply(const MatmulE4m3Params& p, MatmulShared<kTiles>& shared) {
  const uint32_t row_begin = blockIdx.y * kTiles * kMatrixRows, row_count = count_of(p.row_count);
  if (row_begin >= row_count) return;
  const uint32_t pairs = pair_count(p.x.in_count), block_count = p.x.in_count / kBlock;
  const uint8_t* strip = p.w + static_cast<size_t>(blockIdx.x) * pairs * kPairBytesE4m3;
  float sums[kTiles][4] = {};
  for (uint32_t pair = warp_index(); pair < pairs; pair += kMatrixWarps)
    for (uint32_t block = 2 * pair; block < min(2 * pair + 2, block_count); ++block) {
      const Words4 w = *reinterpret_cast<const Words4*>(strip + static_cast<size_t>(block) * 512 + lane_index() * 16);
      add_block_e4m3<kTiles>(p.x, w, block, row_begin, row_count, sums);
    }
  const float* scales = p.scales + blockIdx.x * kMatrixOutputs + lane_index() / 4;
  for (uint32_t tile = 0; tile < kTiles; ++tile)
    for (uint32_t i = 0; i < 4; ++i) sums[tile][i] *= scales[8 * (i / 2)] * kE4m3Scale;
  keep_sums(shared, sums);
  __syncthreads();
  write_sums(shared, p.y, p.y_stride, p.out_count, row_begin, row_count);
}

}  // namespace

REDRAFT_KERNEL(redraft_rows_bf16, RowsBf16Params, kQuantiseThreads) {
  if (blockIdx.x >= count_of(p.row_count)) return;
  const uint32_t count = p.from.in_count;
  for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) {
    const size_t block = static_cast<size_t>(blockIdx.x) * (count / kBlock) + i / kBlock;
    const int8_t* values = p.from.values + block * 2 * kBlock + i % kBlock;
    const float value = p.from.scales[block] * static_cast<float>(128 * values[0] + values[kBlock]);
    p.to[static_cast<size_t>(blockIdx.x) * count + i] = float_to_bf16(value);
  }
}

REDRAFT_KERNEL(redraft_matmul_bf16, MatmulBf16Params, kMatrixThreads) {
  REDRAFT_SHARED(MatmulShared<1>, shared);
  multiply<1>(p, shared);
}
REDRAFT_KERNEL(redraft_matmul_bf16_wide, MatmulBf16Params, kMatrixThreads) {
  REDRAFT_SHARED(MatmulShared<kMatrixTilesWide>, shared);
  multiply<kMatrixTilesWide>(p, shared);
}
REDRAFT_KERNEL(redraft_matmul_e4m3, MatmulE4m3Params, kMatrixThreads) {
  REDRAFT_SHARED(MatmulShared<1>, shared);
  multiply<1>(p, shared);
}
REDRAFT_KERNEL(redraft_matmul_e4m3_wide, MatmulE4m3Params, kMatrixThreads) {
  REDRAFT_SHARED(MatmulShared<kMatrixTilesWide>, shared);
  multiply<kMatrixTilesWide>(p, shared);
}

}  // namespace redraft::cuda
