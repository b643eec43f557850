// The weights of a draft head, checked and packed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "../common/packed_matrix.h"
#include "gru_draft.h"

namespace redraft {

// Inputs of a packed matrix come in whole quantisation blocks; the rest is zeros.
inline size_t padded_inputs(size_t count) { return (count + kBlockInputs - 1) / kBlockInputs * kBlockInputs; }

struct DraftLinear {
  PackedMatrix weight;      // [out_count, padded_inputs(in_count)]
  std::vector<float> bias;  // [out_count], or empty.
  // Of the cell, where they were asked for: what the file has, as bf16. [strips of 16 outputs, padded_inputs(in_count)]
  std::vector<uint16_t> bf16;
  bool present() const { return weight.out_count() > 0; }
};

struct DraftWeights {
  enum class Cell { kGru, kSilu, kSum };

  DraftHeadInfo info;
  Cell cell = Cell::kGru;
  size_t hidden_size = 0, state_size = 0, mlp_size = 0, draft_vocab_size = 0;

  DraftLinear init;       // [S, H]: the first state is tanh(W c + b); absent: it is 0.
  DraftLinear input;      // GRU: [3 S, H], gates r, z, n. SiLU: [S, H]. Sum: absent.
  DraftLinear recurrent;  // GRU: [3 S, S]. SiLU: [S, S]. Sum: absent.
  // The layer over concat(c, s), in two: c does not change in a round. Absent: y = concat(c, s).
  DraftLinear first_context;  // [D, H], with the bias.
  DraftLinear first_state;    // [D, S]
  bool first_silu = true;
  std::vector<DraftLinear> blocks;   // [D, D]: y += silu(A y + a).
  DraftLinear head;                  // [draft_vocab_size, D]
  float logit_scale = 1;             // Logits are multiplied by it: fitted, so that probabilities mean what they say.
  std::vector<int32_t> draft_vocab;  // [draft_vocab_size] target ids, ascending; empty: the target's whole vocabulary.
};

}  // namespace redraft
