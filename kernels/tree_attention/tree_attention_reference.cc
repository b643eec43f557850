#include <cmath>
#include <limits>
#include <vector>

#include "../common/half.h"
#include "tree_attention.h"

namespace redraft {

void tree_attention_reference(const AttentionCall& call, const AttentionSequence& sequence, size_t kv_head,
                              size_t tile_begin, size_t tile_count) {
  const KvLayout& layout = *call.layout;
  const size_t group = call.head_count / layout.kv_head_count, head_size = layout.head_size;
  for (size_t row = tile_begin; row < tile_begin + tile_count; ++row) {
    std::vector<std::pair<size_t, size_t>> places;  // (page, row) of each key that this row sees, in order.
    const size_t positions = sequence.computed_count + (sequence.masks ? 0 : row + 1);
    for (size_t p = 0; p < positions; ++p) places.emplace_back(sequence.pages[p / kPageTokens], p % kPageTokens);
    for (size_t c = 0; sequence.masks && c < sequence.row_count; ++c)
      if (sequence.masks[row] >> c & 1) places.emplace_back(sequence.tree_page + c / kPageTokens, c % kPageTokens);
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      const size_t at = (sequence.row_begin + row) * call.stride + head * head_size;
      std::vector<double> weights;
      double peak = -std::numeric_limits<double>::infinity(), total = 0;
      for (const auto& [page, slot] : places) {
        double score = 0;
        for (size_t d = 0; d < head_size; ++d)
          score += double(call.q[at + d]) * f16_to_f32(call.layer[layout.key_at(page, kv_head, slot, d)]);
        weights.push_back(score);
        peak = std::fmax(peak, score);
      }
      for (double& weight : weights) total += weight = std::exp(weight - peak);
      for (size_t d = 0; d < head_size; ++d) {
        double sum = 0;
        for (size_t k = 0; k < places.size(); ++k)
          sum += weights[k] / total *
                 f16_to_f32(call.layer[layout.value_at(places[k].first, kv_head, places[k].second) + d]);
        call.out[at + d] = static_cast<float>(sum);
      }
    }
  }
}

}  // namespace redraft
