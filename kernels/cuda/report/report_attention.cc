// Attention of an 8-billion-parameter Llama: 4 heads share a key head of 128. One key head, a tree of 16 packed tokens.
#include "report.h"
#include "tree_attention/tree_attention.cuh"

namespace redraft::cuda_report {

using namespace cuda;

void add_attention_cases(Cases& cases) {
  constexpr uint32_t kRows = 16, kHead = 128, kGroup = 4, kContext = 2048;
  for (const uint32_t splits : {1u, kSegmentSplits}) {
    auto memory = std::make_shared<Memory>();
    std::vector<uint32_t> pages(kContext / 16);
    for (uint32_t i = 0; i < pages.size(); ++i) pages[i] = i;
    std::vector<uint64_t> masks(kRows);
    for (uint32_t r = 0; r < kRows; ++r) masks[r] = (uint64_t{1} << r) | (r ? masks[(r - 1) / 2] : 0);
    const size_t row_floats = size_t{kRows} * kGroup * kHead;
    AttentionParams p{memory->array<uint16_t>((pages.size() + 1) * 2 * 16 * kHead, 0x3c00),
                      memory->array(pages),
                      memory->array(std::vector<DeviceSequence>{{0, kContext, 0, kRows, kContext / 16, 1}}),
                      memory->array(std::vector<AttentionTile>{{0, 0, kRows}}),
                      memory->array(masks),
                      memory->array<float>(row_floats, 0.01f),
                      memory->array<float>(row_floats),
                      nullptr,
                      1,
                      1,
                      kHead,
                      kGroup,
                      splits,
                      attention_part_count(kContext + kRows, splits),
                      kRows * kGroup};
    p.partial = memory->array<float>(attention_partial_floats(p));
    const double keys = kContext + kRows;
    const double least = keys * kHead * 4 + 8.0 * static_cast<double>(row_floats);
    const std::string area = splits == 1 ? "tree attention of few sequences" : "tree attention";
    const std::string shape = "tree of 16, context 2048, one key head of 128, 4 heads; " +
                              std::string(splits == 1 ? "a split a CTA" : "a segment a CTA");
    cases.push_back({"redraft_attention", shape, attention_shape(p), memory->keep(p),
                     4.0 * kRows * kGroup * keys * kHead, least, Peak::kF32, memory, area, 1, least});
    cases.push_back({"redraft_attention_join", shape, attention_join_shape(p), memory->keep(p),
                     4.0 * kRows * kGroup * p.part_count * kHead,
                     4.0 * kRows * kGroup * (p.part_count * (kHead + 2) + kHead), Peak::kF32, memory, area, 1, 0});
  }
}

}  // namespace redraft::cuda_report
