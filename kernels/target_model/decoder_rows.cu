#include "decoder_rows.cuh"

#include "../common/packed_matrix_device.cuh"

namespace redraft::cuda {
namespace {

constexpr uint32_t kWarps = kRowThreads / kWarpLanes;
constexpr uint32_t kPageTokens = 16;

}  // namespace

REDRAFT_KERNEL(redraft_embed, EmbedParams, kRowThreads) {
  if (blockIdx.x >= count_of(p.row_count)) return;
  const uint32_t row = blockIdx.x, count = p.embedding.in_count;
  const uint32_t token = p.token[row];
  for (uint32_t i = threadIdx.x; i < count; i += blockDim.x)
    p.x[static_cast<size_t>(row) * count + i] = weight_at(p.embedding, token, i);
}

struct NormShared {
  float sums[kWarps];
};

REDRAFT_KERNEL(redraft_norm, NormParams, kRowThreads) {
  REDRAFT_SHARED(NormShared, shared);
  if (blockIdx.x >= count_of(p.row_count)) return;
  const size_t row = blockIdx.x;
  float* x = p.x + row * p.count;
  float sum = 0;
  for (uint32_t i = threadIdx.x; i < p.count; i += blockDim.x) {
    float value = x[i];
    if (p.update) {
      value += p.update[row * p.count + i];
      x[i] = value;
    }
    sum = fmaf(value, value, sum);
  }
  sum = warp_sum(sum);
  if (lane_index() == 0) shared.sums[warp_index()] = sum;
  __syncthreads();
  sum = 0;
  for (uint32_t w = 0; w < blockDim.x / kWarpLanes; ++w) sum += shared.sums[w];
  const float scale = 1 / sqrtf(sum / static_cast<float>(p.count) + p.epsilon);
  // Each thread reads what it wrote above; a warp has whole blocks.
  for (uint32_t i = threadIdx.x; i < p.count; i += blockDim.x) {
    const float value = x[i] * scale * p.weight[i];
    if (p.normed) p.normed[row * p.count + i] = value;
    if (p.rows.values) quantise_block(p.rows, static_cast<uint32_t>(row), i / kBlock, value);
  }
}

// Pairs are adjacent, as GGUF files of the Llama family have their weights permuted for.
REDRAFT_KERNEL(redraft_rope_append, RopeAppendParams, kRowThreads) {
  if (blockIdx.x >= count_of(p.row_count)) return;
  const size_t row = blockIdx.x;
  const uint32_t pairs = p.rope_size / 2, half = p.head_size / 2;
  const float* cosines = p.cosines + static_cast<size_t>(p.position[row]) * pairs;
  const float* sines = p.sines + static_cast<size_t>(p.position[row]) * pairs;
  const uint32_t page = p.kv_place[row] / kPageTokens, slot = p.kv_place[row] % kPageTokens;
  for (uint32_t i = threadIdx.x; i < p.head_count * half; i += blockDim.x) {
    float* at = p.query + (row * p.head_count * half + i) * 2;
    float a = at[0], b = at[1];
    if (const uint32_t pair = i % half; pair < pairs) {
      const float rotated = a * cosines[pair] - b * sines[pair];
      b = a * sines[pair] + b * cosines[pair];
      a = rotated;
    }
    at[0] = a * p.query_scale, at[1] = b * p.query_scale;
  }
  for (uint32_t i = threadIdx.x; i < p.kv_head_count * half; i += blockDim.x) {
    const uint32_t head = i / half, pair = i % half;
    const float* at = p.key + (row * p.kv_head_count * half + i) * 2;
    float a = at[0], b = at[1];
    if (pair < pairs) {
      const float rotated = a * cosines[pair] - b * sines[pair];
      b = a * sines[pair] + b * cosines[pair];
      a = rotated;
    }
    uint16_t* keys = p.layer + (static_cast<size_t>(page) * p.kv_head_count + head) * 2 * kPageTokens * p.head_size;
    keys[2 * pair * kPageTokens + slot] = float_to_half(a);
    keys[(2 * pair + 1) * kPageTokens + slot] = float_to_half(b);
    uint16_t* values = keys + (kPageTokens + slot) * p.head_size;
    const float* value = p.value + (row * p.kv_head_count * half + i) * 2;
    values[2 * pair] = float_to_half(value[0]);
    values[2 * pair + 1] = float_to_half(value[1]);
  }
}

REDRAFT_KERNEL(redraft_swiglu, SwigluParams, kRowThreads) {
  if (blockIdx.x >= count_of(p.row_count)) return;
  const size_t row = blockIdx.x;
  for (uint32_t i = threadIdx.x; i < p.count; i += blockDim.x) {
    const float gate = p.gate[row * p.count + i];
    const float value = gate / (1 + expf(-gate)) * p.up[row * p.count + i];
    quantise_block(p.rows, static_cast<uint32_t>(row), i / kBlock, value);
  }
}

}  // namespace redraft::cuda
