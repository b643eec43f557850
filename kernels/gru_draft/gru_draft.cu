#include "gru_draft.cuh"

#include "../common/packed_matrix_device.cuh"

namespace redraft::cuda {
namespace {

REDRAFT_DEVICE float sigmoid(float x) { return 1 / (1 + expf(-x)); }
REDRAFT_DEVICE float silu(float x) { return x * sigmoid(x); }
REDRAFT_DEVICE float bias_at(const float* bias, uint32_t i) { return bias ? bias[i] : 0; }

REDRAFT_DEVICE float next_state(const DraftCellParams& p, uint32_t row, uint32_t i, float before) {
  const uint32_t s = p.state_size;
  if (p.cell == DraftCell::kSum) return p.x[static_cast<size_t>(row) * p.x_stride + i] + before;
  if (p.cell == DraftCell::kSilu) {
    const size_t at = static_cast<size_t>(row) * s + i;
    return silu(p.x_gates[at] + bias_at(p.x_bias, i) + (p.s_gates[at] + bias_at(p.s_bias, i)));
  }
  const size_t at = static_cast<size_t>(row) * 3 * s + i;
  float x[3], u[3];
  for (uint32_t gate = 0; gate < 3; ++gate) {
    x[gate] = p.x_gates[at + gate * s] + bias_at(p.x_bias, gate * s + i);
    u[gate] = p.s_gates[at + gate * s] + bias_at(p.s_bias, gate * s + i);
  }
  const float reset = sigmoid(x[0] + u[0]), update = sigmoid(x[1] + u[1]);
  const float candidate = tanhf(x[2] + reset * u[2]);
  return (1 - update) * candidate + update * before;
}

}  // namespace

REDRAFT_KERNEL(redraft_draft_init, DraftInitParams, kDraftThreads) {
  if (blockIdx.x >= count_of(p.row_count)) return;
  const size_t row = blockIdx.x;
  for (uint32_t i = threadIdx.x; i < p.state_size; i += blockDim.x)
    p.state[row * p.state_size + i] = p.product ? tanhf(p.product[row * p.state_size + i] + bias_at(p.bias, i)) : 0;
}

REDRAFT_KERNEL(redraft_draft_gather, DraftGatherParams, kDraftThreads) {
  if (blockIdx.x >= count_of(p.row_count)) return;
  const float* state = p.states + static_cast<size_t>(p.from[blockIdx.x]) * p.state_size;
  for (uint32_t i = threadIdx.x; i < p.rows.in_count; i += blockDim.x)
    quantise_block(p.rows, blockIdx.x, i / kBlock, i < p.state_size ? state[i] : 0);
}

REDRAFT_KERNEL(redraft_draft_cell, DraftCellParams, kDraftThreads) {
  if (blockIdx.x >= count_of(p.row_count)) return;
  const uint32_t row = blockIdx.x;
  const float* before = p.states + static_cast<size_t>(p.from[row]) * p.state_size;
  for (uint32_t i = threadIdx.x; i < p.rows.in_count; i += blockDim.x) {
    const float value = i < p.state_size ? next_state(p, row, i, before[i]) : 0;
    if (i < p.state_size) p.next[static_cast<size_t>(row) * p.state_size + i] = value;
    quantise_block(p.rows, row, i / kBlock, value);
  }
}

REDRAFT_KERNEL(redraft_draft_mlp, DraftMlpParams, kDraftThreads) {
  if (blockIdx.x >= count_of(p.row_count)) return;
  const size_t row = blockIdx.x;
  const float* context = p.context ? p.context + static_cast<size_t>(p.sequence[row]) * p.context_size : nullptr;
  for (uint32_t i = threadIdx.x; i < p.rows.in_count; i += blockDim.x) {
    float value = 0;
    if (i < p.size) {
      if (!p.product) {
        value = i < p.context_size ? context[i] : p.state[row * (p.size - p.context_size) + i - p.context_size];
      } else if (context) {
        value = p.product[row * p.size + i] + (context[i] + bias_at(p.bias, i));
        if (p.silu) value = silu(value);
      } else {
        value = p.y[row * p.size + i] + silu(p.product[row * p.size + i] + bias_at(p.bias, i));
      }
      p.y[row * p.size + i] = value;
    }
    quantise_block(p.rows, static_cast<uint32_t>(row), i / kBlock, value);
  }
}

}  // namespace redraft::cuda
