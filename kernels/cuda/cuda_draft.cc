// The draft of a step on the device: the head's rows and the search, level after level.
#include <algorithm>

#include "../target_model/decoder_rows.cuh"
#include "cuda_engine.h"

namespace redraft::cuda {

// Grows the trees of all drafting sequences a level at a time; the number of levels is the plan's.
void CudaEngine::draft(const StepShape& step) {
  DraftBuffers& d = *draft_buffers_;
  const CudaHead& head = *head_;
  const Count count = step.drafts;
  const uint32_t width = step.beam_width;
  const QuantiseParams start{buffers_->normed.get(), buffers_->draft_rows.get(),
                             d.hidden_rows.view(),   count,
                             head.hidden_size,       head.hidden_size};
  device_.launch("redraft_quantise", quantise_shape(start), start);
  multiply(head.first_context.weight.view(), d.hidden_rows.view(), d.context.get(), count, head.mlp_size);
  const bool has_init = head.init.weight.present();
  if (has_init) multiply(head.init.weight.view(), d.hidden_rows.view(), d.init_product.get(), count, head.state_size);
  const DraftInitParams init{has_init ? d.init_product.get() : nullptr, head.init.bias.get(), d.states.get(), count,
                             head.state_size};
  device_.launch("redraft_draft_init", draft_init_shape(init), init);
  BeamParams beams{buffers_->upload.arrays().beams,
                   buffers_->slots(),
                   d.beam_states.get(),
                   d.node_token.get(),
                   d.node_parent.get(),
                   d.node_logprob.get(),
                   d.candidate_tokens.get(),
                   d.candidate_logprobs.get(),
                   d.row_token.get(),
                   d.row_from.get(),
                   d.row_sequence.get(),
                   count,
                   std::min(width, std::min(kCandidatesMax, head.draft_vocab_size)),
                   0,
                   1};
  device_.launch("redraft_beam_begin", beam_shape(beams), beams);
  for (uint32_t level = 1; level < step.beam_length; ++level) {
    beams.rows_before = beams.rows_after, beams.rows_after = width;
    draft_level(beams, {count.most * beams.rows_before, count.live, beams.rows_before}, level);
    device_.launch("redraft_beam_expand", beam_shape(beams), beams);
    std::swap(d.states, d.next_states);
  }
  // Each draft starts where the first one did: a captured one knows no other place.
  if (step.beam_length % 2 == 0) std::swap(d.states, d.next_states);
  device_.launch("redraft_beam_pack", beam_shape(beams), beams);
}

// The cell's weights are bf16 where the layers' are: then one way serves both.
void CudaEngine::multiply_gates(const LayerMatrix& w, const DeviceRows& x, float* y, const Count& row_count) {
  if (w.kind() == WeightKind::kPacked) return multiply(w.packed(), x, y, row_count, w.out_count());
  products_->take(x, row_count);
  products_->multiply(w, y);
}

// The draft head over the rows of one level: tokens and states in, candidates out.
void CudaEngine::draft_level(const BeamParams& beams, const Count& rows, uint32_t level) {
  DraftBuffers& d = *draft_buffers_;
  const CudaHead& head = *head_;
  const EmbedParams embed{target_->embedding.view(), d.row_token.get(), d.x.get(), rows};
  device_.launch("redraft_embed", embed_shape(embed), embed);
  if (head.cell != DraftCell::kSum) {
    const QuantiseParams input{d.x.get(), nullptr, d.x_rows.view(), rows, head.hidden_size, head.hidden_size};
    device_.launch("redraft_quantise", quantise_shape(input), input);
    multiply_gates(head.input.weight, d.x_rows.view(), d.x_gates.get(), rows);
    const DraftGatherParams gather{d.states.get(), d.row_from.get(), d.state_rows.view(), rows, head.state_size};
    device_.launch("redraft_draft_gather", draft_gather_shape(gather), gather);
    multiply_gates(head.recurrent.weight, d.state_rows.view(), d.s_gates.get(), rows);
  }
  const DraftCellParams cell{d.x_gates.get(),
                             d.s_gates.get(),
                             head.input.bias.get(),
                             head.recurrent.bias.get(),
                             d.x.get(),
                             d.states.get(),
                             d.row_from.get(),
                             d.next_states.get(),
                             d.state_rows.view(),
                             rows,
                             head.state_size,
                             head.hidden_size,
                             head.cell};
  device_.launch("redraft_draft_cell", draft_cell_shape(cell), cell);
  multiply(head.first_state.weight.view(), d.state_rows.view(), d.product.get(), rows, head.mlp_size);
  DraftMlpParams mlp{d.product.get(), d.context.get(), d.row_sequence.get(), head.first_context.bias.get(),
                     nullptr,         d.y.get(),       d.mlp_rows.view(),    rows,
                     head.mlp_size,   head.mlp_size,   head.first_silu};
  device_.launch("redraft_draft_mlp", draft_mlp_shape(mlp), mlp);
  mlp.context = nullptr;
  for (const CudaLinear& block : head.blocks) {
    multiply(block.weight.view(), d.mlp_rows.view(), d.product.get(), rows, head.mlp_size);
    mlp.bias = block.bias.get();
    device_.launch("redraft_draft_mlp", draft_mlp_shape(mlp), mlp);
  }
  const DraftRankParams rank{head.head.weight.view(),
                             head.head.bias.get(),
                             d.mlp_rows.view(),
                             d.parts.get(),
                             rows,
                             beams.k,
                             head.logit_scale,
                             buffers_->upload.arrays().noise,
                             buffers_->slots(),
                             d.row_sequence.get(),
                             head.draft_vocab.get(),
                             level};
  device_.launch(draft_rank_kernel(rank), draft_rank_shape(rank), rank);
  const DraftRankJoinParams join{d.parts.get(),
                                 head.draft_vocab.get(),
                                 d.candidate_tokens.get(),
                                 d.candidate_logprobs.get(),
                                 rows,
                                 rank_part_count(head.draft_vocab_size),
                                 beams.k};
  device_.launch("redraft_draft_rank_join", draft_rank_join_shape(join), join);
}

}  // namespace redraft::cuda
