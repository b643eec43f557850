// What a decoder does to each row between the products: the parameters and shapes of decoder_rows.cu.
#pragma once
#include "../common/packed_matrix.cuh"

namespace redraft::cuda {

constexpr uint32_t kRowThreads = 256;  // One CTA a row.

// x[r] = the embedding of token[r].
struct EmbedParams {
  DeviceMatrix embedding;
  const uint32_t* token;  // [row_count]
  float* x;               // [row_count, in_count]
  Count row_count;
};
inline LaunchShape embed_shape(const EmbedParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.embedding.in_count, kRowThreads), 0};
}

// x += update, then its RMSNorm: quantised for the next product, and plain where `normed` is not null.
struct NormParams {
  float* x;             // [row_count, count]: the residual stream.
  const float* update;  // [row_count, count], or null.
  const float* weight;  // [count]
  float* normed;        // [row_count, count], or null.
  DeviceRows rows;      // in_count = count; values null where nothing is to be multiplied.
  Count row_count;
  uint32_t count;  // count: a multiple of 32.
  float epsilon;
};
inline LaunchShape norm_shape(const NormParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.count, kRowThreads), 0};
}

// Rotates queries and keys by their positions, scales queries, appends keys and values to their KV pages as f16.
struct RopeAppendParams {
  float* query;                  // [row_count, head_count, head_size], in place.
  const float *key, *value;      // [row_count, kv_head_count, head_size]
  const float *cosines, *sines;  // [context_max, rope_size / 2]
  const uint32_t* position;      // [row_count]
  const uint32_t* kv_place;      // [row_count]: page * 16 + row in it.
  uint16_t* layer;               // KV pages of this layer (kv_layout.h).
  Count row_count;
  uint32_t head_count, kv_head_count, head_size, rope_size;
  float query_scale;
};
inline LaunchShape rope_append_shape(const RopeAppendParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.head_count * p.head_size / 2, kRowThreads), 0};
}

// silu(gate) * up, quantised.
struct SwigluParams {
  const float *gate, *up;  // [row_count, count]
  DeviceRows rows;         // in_count = count.
  Count row_count;
  uint32_t count;
};
inline LaunchShape swiglu_shape(const SwigluParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.count, kRowThreads), 0};
}

}  // namespace redraft::cuda
