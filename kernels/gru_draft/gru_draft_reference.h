// The draft head in plain f32: one beam, from the files, no packing, no batch. What gru_draft_cpu.cc is tested against.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "gru_draft.h"

namespace redraft {

// Log-probabilities over the draft vocabulary, [draft_vocab_size], of what follows a beam.
// hidden: [hidden_size]. beam: its tokens, the init token first; at least one. The directory is one that loads.
std::vector<float> draft_reference(const std::string& directory, const std::vector<float>& hidden,
                                   const std::vector<int32_t>& beam, const EmbeddingLookup& embedding);

}  // namespace redraft
