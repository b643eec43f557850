// The published form of tree packing (Apple's recurrent_drafting/tree_attention.py): beams of equal length in, their
// prefix tree out. A reference beside BeamSearch, which never has duplicates to remove.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "../common/token_logprob.h"

namespace redraft {

struct PrefixTree {
  std::vector<int32_t> token;     // [packed_count], parents before children: the kept (beam, place) in row-major order.
  std::vector<int32_t> parent;    // [packed_count], -1 at the root.
  std::vector<int32_t> offset;    // [packed_count], depth.
  std::vector<int32_t> unpacker;  // [beam_count, beam_length]: the packed index of each beam's tokens.
};

// beams: [beam_count, beam_length], all with the same first token; beam_count, beam_length >= 1.
PrefixTree pack_beams(const int32_t* beams, size_t beam_count, size_t beam_length);

// The candidates that may follow a prefix, [any count], tokens all different.
using NextCandidates = std::function<std::vector<TokenLogprob>(const std::vector<int32_t>& prefix)>;

struct Beam {
  std::vector<int32_t> token;  // [beam_length]
  float logprob;
};

// The published search as plain code: every level expands all beams and keeps the best beam_width (among equals the
// lower token, then the earlier beam). Returns at most beam_width beams, all of beam_length, falling by logprob.
std::vector<Beam> search_beams(int32_t root_token, size_t beam_width, size_t beam_length, const NextCandidates& next);

}  // namespace redraft
