// The target's draw of one token from each row of logits, on the device: the draw of sampling.h.
//
// Weights are whole numbers, exp((logit - peak) / temperature) in units of 2^-40, and their sums are exact: neither the
// threads' order nor the batch shows in a draw. (seed, position, token) gives the noise, as on the CPU.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../common/noise.h"
#include "../cuda/launch.h"

namespace redraft::cuda {

constexpr uint32_t kSampleThreads = 512;
constexpr uint32_t kSampleBlock = 1024;  // Tokens that a warp sums on its own.
constexpr uint32_t kVocabMax = 256 * kSampleBlock;
constexpr uint32_t kSampleBiasMax = 1024;
constexpr uint32_t kSamplePathMax = 64;
constexpr uint32_t kNoMask = 0xffffffffu;
constexpr uint32_t kInPrompt = 0x80000000u;  // In token counts: the prompt has it. The rest counts generated ones.

// As SamplingParams; checked on the host.
struct DeviceSampling {
  float temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
  uint32_t top_k, bias_count;
  uint64_t seed;
};
struct SampleRow {
  uint32_t slot;
  uint32_t logits_row;
  uint64_t position;              // Of the token drawn.
  uint32_t path_count;            // Tokens on the row's path behind the root, which penalties count as generated.
  uint32_t path_begin;            // Index in `paths`.
  uint32_t mask_begin = kNoMask;  // Index in `masks` of the bits of the tokens that may be drawn.
};

struct SampleParams {
  const float* logits;    // [row, vocab_size]
  float* adjusted;        // [row_count, vocab_size]: scratch of rows with a bias, a penalty or a mask.
  const SampleRow* rows;  // [row_count]
  const uint32_t* paths;
  const DeviceSampling* sampling;  // [slot]
  const uint32_t* bias_tokens;     // [slot, kSampleBiasMax]
  const float* bias_values;        // [slot, kSampleBiasMax]
  const uint32_t* token_counts;    // [slot, vocab_size]
  const uint32_t* masks;           // Of the rows that have one, [ceil(vocab_size / 32)] words of a grammar's mask.
  int32_t* drawn;                  // [row_count]; -1 where no logit is above -infinity.
  Count row_count;
  uint32_t vocab_size;
};
inline LaunchShape sample_shape(const SampleParams& p) {
  return {{p.row_count.most, 1, 1}, threads_for(p.vocab_size / 8, kSampleThreads), 0};
}

}  // namespace redraft::cuda
