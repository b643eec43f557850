#include "sampling.cuh"

#include "../common/philox.cuh"
#include "../common/select.cuh"

namespace redraft::cuda {
namespace {

constexpr float kWeightUnit = 1099511627776.0f;  // 2^40

struct SampleShared {
  SelectShared select;
  uint64_t block_weights[kVocabMax / kSampleBlock];
  uint64_t left;
  uint32_t block;
};

// Tokens still in the draw: keys above `key`, and of those equal to it the first `equals` by id.
struct Kept {
  uint32_t key;
  uint64_t equals;
};

struct Row {
  const float* logits;
  float peak, scale;  // scale: 1 / temperature
  uint32_t floor;     // Keys under it are out (min-p).
};

REDRAFT_DEVICE uint64_t weight_of(const Row& row, float logit) {
  if (!(logit > -INFINITY)) return 0;
  const float depth = (fminf(logit, row.peak) - row.peak) * row.scale;
  return depth < -87 ? 0 : static_cast<uint64_t>(expf(depth) * kWeightUnit);
}

// Bias, then penalties, then the grammar's mask, in the CPU's order and rounding.
REDRAFT_DEVICE const float* adjust(const SampleParams& p, const SampleRow& row, const DeviceSampling& s) {
  const float* logits = p.logits + static_cast<size_t>(row.logits_row) * p.vocab_size;
  const bool counts = s.repetition_penalty != 1 || s.presence_penalty != 0 || s.frequency_penalty != 0;
  const bool masked = row.mask_begin != kNoMask;
  if (s.bias_count == 0 && !counts && !masked) return logits;
  float* adjusted = p.adjusted + static_cast<size_t>(blockIdx.x) * p.vocab_size;
  for (uint32_t i = threadIdx.x; i < p.vocab_size; i += blockDim.x) adjusted[i] = logits[i];
  __syncthreads();
  const size_t biases = static_cast<size_t>(row.slot) * kSampleBiasMax;
  for (uint32_t i = threadIdx.x; i < s.bias_count; i += blockDim.x)
    adjusted[p.bias_tokens[biases + i]] += p.bias_values[biases + i];
  __syncthreads();
  const uint32_t* token_counts = p.token_counts + static_cast<size_t>(row.slot) * p.vocab_size;
  for (uint32_t i = threadIdx.x; i < p.vocab_size; i += blockDim.x) {
    float logit = adjusted[i];
    if (counts) {
      const uint32_t count = token_counts[i];
      uint32_t generated = count & ~kInPrompt;
      for (uint32_t place = 0; place < row.path_count; ++place) generated += p.paths[row.path_begin + place] == i;
      if (generated > 0 || (count & kInPrompt))
        logit = logit > 0 ? logit / s.repetition_penalty : logit * s.repetition_penalty;
      if (generated > 0) {
        logit -= s.frequency_penalty * static_cast<float>(generated);
        logit -= s.presence_penalty;
      }
    }
    if (masked && !(p.masks[row.mask_begin + i / 32] >> (i % 32) & 1)) logit = -INFINITY;
    adjusted[i] = logit;
  }
  __syncthreads();
  return adjusted;
}

REDRAFT_DEVICE Kept keep_top_k(SampleShared& shared, const Row& row, uint32_t vocab_size, uint32_t top_k) {
  const auto ones = [&](uint32_t i, uint32_t& key, uint64_t& weight) {
    key = order_key(row.logits[i]);
    weight = key >= row.floor ? 1 : 0;
  };
  uint64_t count = 0;
  for (uint32_t i = threadIdx.x; i < vocab_size; i += blockDim.x) count += order_key(row.logits[i]) >= row.floor;
  count = cta_sum(shared.select, count);
  if (count <= top_k) return {row.floor, vocab_size};
  const Selected selected = cta_select(shared.select, vocab_size, top_k, ones);
  return {selected.key, top_k - selected.above};
}

// Of what is kept, the shortest head in falling order whose weights reach top_p of theirs all.
REDRAFT_DEVICE Kept keep_top_p(SampleShared& shared, const Row& row, uint32_t vocab_size, Kept kept, float top_p) {
  uint64_t above = 0, equals = 0;
  for (uint32_t i = threadIdx.x; i < vocab_size; i += blockDim.x) {
    const uint32_t key = order_key(row.logits[i]);
    if (key > kept.key) above += weight_of(row, row.logits[i]);
    equals += key == kept.key;
  }
  above = cta_sum(shared.select, above);
  equals = cta_sum(shared.select, equals);
  kept.equals = min(kept.equals, equals);
  const uint64_t edge = weight_of(row, value_of_key(kept.key));
  const uint64_t total = above + kept.equals * edge;
  const uint64_t target = static_cast<uint64_t>(ceil(static_cast<double>(total) * static_cast<double>(top_p)));
  if (target > above || target == 0) {  // The cut lies among the equals of the edge.
    const uint64_t wanted = edge > 0 ? (target - above + edge - 1) / edge : kept.equals;
    return {kept.key, min(kept.equals, wanted)};
  }
  const Selected selected =
      cta_select(shared.select, vocab_size, target, [&](uint32_t i, uint32_t& key, uint64_t& weight) {
        key = order_key(row.logits[i]);
        weight = key > kept.key ? weight_of(row, row.logits[i]) : 0;
      });
  const uint64_t weight = weight_of(row, value_of_key(selected.key));
  return {selected.key, (target - selected.above + weight - 1) / weight};
}

// The kept token whose logit / temperature + noise is the largest: its score's key, then ~id.
REDRAFT_DEVICE uint64_t best_of_kept(SampleShared& shared, const Row& row, uint32_t vocab_size, Kept kept,
                                     uint64_t seed, uint64_t position) {
  uint64_t equals = 0, best = 0;
  for (uint32_t i = threadIdx.x; i < vocab_size; i += blockDim.x) equals += order_key(row.logits[i]) == kept.key;
  equals = cta_sum(shared.select, equals);
  uint32_t last = vocab_size;  // The last of the equals that is kept.
  if (kept.equals < equals)
    last = 0xffffffffu -
           cta_select(shared.select, vocab_size, kept.equals, [&](uint32_t i, uint32_t& key, uint64_t& weight) {
             key = 0xffffffffu - i;
             weight = order_key(row.logits[i]) == kept.key;
           }).key;
  for (uint32_t i = threadIdx.x; i < vocab_size; i += blockDim.x) {
    const uint32_t key = order_key(row.logits[i]);
    if (key < kept.key || (key == kept.key && i > last) || !(row.logits[i] > -INFINITY)) continue;
    const float score = (fminf(row.logits[i], row.peak) - row.peak) * row.scale + gumbel_noise(seed, position, i);
    const uint64_t item = static_cast<uint64_t>(order_key(score)) << 32 | (0xffffffffu - i);
    best = item > best ? item : best;
  }
  return cta_max(shared.select, best);
}

// The token under `key` at which the running sum of their weights, ascending by id, passes uniform * total; the uniform
// is bits / 2^64.
REDRAFT_DEVICE int32_t draw_under(SampleShared& shared, const Row& row, uint32_t vocab_size, uint32_t key,
                                  uint64_t bits) {
  const uint32_t blocks = (vocab_size + kSampleBlock - 1) / kSampleBlock;
  const auto weight_at = [&](uint32_t i) {
    return i < vocab_size && order_key(row.logits[i]) < key ? weight_of(row, row.logits[i]) : 0;
  };
  for (uint32_t block = warp_index(); block < blocks; block += blockDim.x / kWarpLanes) {
    uint64_t sum = 0;
    for (uint32_t i = block * kSampleBlock + lane_index(); i < (block + 1) * kSampleBlock; i += kWarpLanes)
      sum += weight_at(i);
    sum = warp_sum(sum);
    if (lane_index() == 0) shared.block_weights[block] = sum;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    uint64_t total = 0;
    for (uint32_t block = 0; block < blocks; ++block) total += shared.block_weights[block];
    uint64_t left = __umul64hi(bits, total);  // In [0, total).
    uint32_t block = 0;
    while (left >= shared.block_weights[block]) left -= shared.block_weights[block++];
    shared.left = left, shared.block = block;
  }
  __syncthreads();
  // One warp goes through that block, 32 tokens at a time.
  if (warp_index() == 0) {
    uint64_t left = shared.left;
    for (uint32_t first = shared.block * kSampleBlock; first < vocab_size; first += kWarpLanes) {
      uint64_t sum = weight_at(first + lane_index());  // Of this lane and those before it.
      for (uint32_t step = 1; step < kWarpLanes; step *= 2) {
        const uint32_t low = __shfl_up_sync(kAllLanes, static_cast<uint32_t>(sum), step);
        const uint32_t high = __shfl_up_sync(kAllLanes, static_cast<uint32_t>(sum >> 32), step);
        if (lane_index() >= step) sum += static_cast<uint64_t>(high) << 32 | low;
      }
      const uint32_t past = __ballot_sync(kAllLanes, sum > left);
      if (past != 0) {
        if (lane_index() == 0) shared.select.result = first + static_cast<uint32_t>(__ffs(static_cast<int>(past)) - 1);
        break;
      }
      const uint32_t high = __shfl_sync(kAllLanes, static_cast<uint32_t>(sum >> 32), 31);
      left -= static_cast<uint64_t>(high) << 32 | __shfl_sync(kAllLanes, static_cast<uint32_t>(sum), 31);
    }
  }
  __syncthreads();
  return static_cast<int32_t>(shared.select.result);
}

// The draw from a whole row: tokens deep under the peak share one noise (kNoiseDepth in noise.h).
REDRAFT_DEVICE int32_t draw_from_all(SampleShared& shared, const Row& row, uint32_t vocab_size, const DeviceSampling& s,
                                     uint64_t position) {
  const Kept near{order_key(row.peak - kNoiseDepth * s.temperature), vocab_size};
  const uint64_t best = best_of_kept(shared, row, vocab_size, near, s.seed, position);
  const int32_t token = static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(best));
  uint64_t rest = 0;
  for (uint32_t i = threadIdx.x; i < vocab_size; i += blockDim.x)
    if (order_key(row.logits[i]) < near.key) rest += weight_of(row, row.logits[i]);
  rest = cta_sum(shared.select, rest);
  if (rest == 0) return token;
  const PhiloxWords words = philox_words(s.seed, position, 0, kRestStream);
  const float score = logf(static_cast<float>(rest) / kWeightUnit) + gumbel_of(words.word[0]);
  if (!(score > value_of_key(static_cast<uint32_t>(best >> 32)))) return token;
  return draw_under(shared, row, vocab_size, near.key, static_cast<uint64_t>(words.word[2]) << 32 | words.word[3]);
}

}  // namespace

REDRAFT_KERNEL(redraft_sample, SampleParams, kSampleThreads) {
  REDRAFT_SHARED(SampleShared, shared);
  if (blockIdx.x >= count_of(p.row_count)) return;
  const SampleRow at = p.rows[blockIdx.x];
  const DeviceSampling s = p.sampling[at.slot];
  Row row{adjust(p, at, s), 0, 0, 0};
  uint64_t best = 0;
  for (uint32_t i = threadIdx.x; i < p.vocab_size; i += blockDim.x) {
    const uint64_t key = static_cast<uint64_t>(order_key(row.logits[i])) << 32 | (0xffffffffu - i);  // Lowest id first.
    best = key > best ? key : best;
  }
  best = cta_max(shared.select, best);
  const bool none = static_cast<uint32_t>(best >> 32) <= order_key(-INFINITY);
  if (none || s.temperature < 1e-5f || s.top_k == 1) {
    if (threadIdx.x == 0)
      p.drawn[blockIdx.x] = none ? -1 : static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(best));
    return;
  }
  row.peak = fminf(value_of_key(static_cast<uint32_t>(best >> 32)), 3.402823466e38f);
  row.scale = 1 / s.temperature;
  if (s.min_p > 0)
    row.floor = order_key(static_cast<float>(row.peak + s.temperature * log(static_cast<double>(s.min_p))));
  const bool by_top_k = s.top_k > 0 && s.top_k < p.vocab_size;
  int32_t token;
  if (by_top_k || s.top_p < 1 || s.min_p > 0) {
    Kept kept{row.floor, p.vocab_size};
    if (by_top_k) kept = keep_top_k(shared, row, p.vocab_size, s.top_k);
    if (s.top_p < 1) kept = keep_top_p(shared, row, p.vocab_size, kept, s.top_p);
    __syncthreads();
    const uint64_t winner = best_of_kept(shared, row, p.vocab_size, kept, s.seed, at.position);
    token = static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(winner));
  } else {
    token = draw_from_all(shared, row, p.vocab_size, s, at.position);
  }
  if (threadIdx.x == 0) p.drawn[blockIdx.x] = token;
}

}  // namespace redraft::cuda
