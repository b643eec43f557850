// One step on the device: what is launched, in order.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../common/error.h"
#include "../target_model/decoder_rows.cuh"
#include "../tree_attention/tree_attention.cuh"
#include "cuda_engine.h"

namespace redraft::cuda {
namespace {

// CTAs that keep a device busy; with fewer, attention is cut finer.
constexpr uint32_t kCtasWanted = 264;

// Lays arrays side by side into one block of bytes, each on 256 of them.
class Packer {
 public:
  Packer(std::vector<uint8_t>& bytes, uint8_t* device) : bytes_(bytes), device_(device) {}
  template <typename T>
  T* put(const std::vector<T>& values) {
    const size_t at = (bytes_.size() + 255) / 256 * 256;
    bytes_.resize(at + values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(bytes_.data() + at, values.data(), values.size() * sizeof(T));
    return reinterpret_cast<T*>(device_ + at);
  }

 private:
  std::vector<uint8_t>& bytes_;
  uint8_t* device_;
};

}  // namespace

void CudaEngine::upload(const Batch& batch) {
  staging_.clear();
  Packer pack(staging_, buffers_->upload.get());
  arrays_ = {pack.put(batch.steps), pack.put(batch.tiles),  pack.put(batch.commits), pack.put(batch.beams),
             pack.put(batch.noise), pack.put(batch.tokens), pack.put(batch.pages),   pack.put(batch.masks),
             pack.put(batch.mask_begin)};
  REDRAFT_ASSERT(staging_.size() <= buffers_->upload.size());
  device_.copy_in(buffers_->upload.pointer(), staging_.data(), staging_.size());
  StepBuffers& b = *buffers_;
  const StepLayoutParams p{arrays_.steps,
                           b.slots(),
                           arrays_.pages,
                           arrays_.mask_begin,
                           arrays_.tokens,
                           b.position.get(),
                           b.kv_place.get(),
                           b.masks.get(),
                           b.sequences.get(),
                           b.sample_rows.get(),
                           b.sample_from.get(),
                           b.paths.get(),
                           b.walks.get(),
                           static_cast<uint32_t>(batch.steps.size())};
  device_.launch("redraft_step_layout", step_layout_shape(p), p);
}

void CudaEngine::multiply(const DeviceMatrix& w, const DeviceRows& x, float* y, uint32_t row_count, uint32_t y_stride) {
  const MatmulParams p{w, x, y, row_count, y_stride};
  device_.launch(matmul_kernel(p), matmul_shape(p), p);
}

void CudaEngine::attend(const Batch& batch, size_t layer) {
  StepBuffers& b = *buffers_;
  const LlamaShape& shape = target_->shape;
  AttentionParams p{b.kv_pages.get() + layer * layout_.layer_elements(),
                    arrays_.pages,
                    b.sequences.get(),
                    arrays_.tiles,
                    b.masks.get(),
                    b.query.get(),
                    b.attended.get(),
                    b.partial.get(),
                    static_cast<uint32_t>(batch.tiles.size()),
                    static_cast<uint32_t>(shape.kv_head_count),
                    static_cast<uint32_t>(shape.head_size),
                    static_cast<uint32_t>(shape.head_count / shape.kv_head_count),
                    kSegmentSplits,
                    attention_part_count(batch.keys_max, kSegmentSplits),
                    batch.queries_max};
  AttentionParams finer = p;
  finer.splits_per_part = 1, finer.part_count = attention_part_count(batch.keys_max, 1);
  if (p.tile_count * p.kv_head_count * p.part_count < kCtasWanted &&
      attention_partial_floats(finer) <= b.partial.size())
    p = finer;
  device_.launch("redraft_attention", attention_shape(p), p);
  if (p.part_count > 1) device_.launch("redraft_attention_join", attention_join_shape(p), p);
}

void CudaEngine::forward(const Batch& batch) {
  StepBuffers& b = *buffers_;
  const LlamaShape& shape = target_->shape;
  const uint32_t rows = batch.row_count, hidden = static_cast<uint32_t>(shape.hidden_size);
  const uint32_t query_size = static_cast<uint32_t>(shape.query_size()),
                 kv_size = static_cast<uint32_t>(shape.kv_size());
  const uint32_t ffn = static_cast<uint32_t>(shape.ffn_size);
  const auto norm = [&](const float* update, const float* weight, float* normed) {
    const NormParams p{b.x.get(), update, weight, normed, b.hidden_rows.view(), rows, hidden, shape.norm_epsilon};
    device_.launch("redraft_norm", norm_shape(p), p);
  };
  const EmbedParams embed{target_->embedding.view(), arrays_.tokens, b.x.get(), rows};
  device_.launch("redraft_embed", embed_shape(embed), embed);
  for (size_t index = 0; index < target_->layers.size(); ++index) {
    const CudaLayer& layer = target_->layers[index];
    norm(index == 0 ? nullptr : b.update.get(), layer.attention_norm.get(), nullptr);
    multiply(layer.query.view(), b.hidden_rows.view(), b.query.get(), rows, query_size);
    multiply(layer.key.view(), b.hidden_rows.view(), b.key.get(), rows, kv_size);
    multiply(layer.value.view(), b.hidden_rows.view(), b.value.get(), rows, kv_size);
    const RopeAppendParams rope{b.query.get(),
                                b.key.get(),
                                b.value.get(),
                                target_->cosines.get(),
                                target_->sines.get(),
                                b.position.get(),
                                b.kv_place.get(),
                                b.kv_pages.get() + index * layout_.layer_elements(),
                                rows,
                                static_cast<uint32_t>(shape.head_count),
                                static_cast<uint32_t>(shape.kv_head_count),
                                static_cast<uint32_t>(shape.head_size),
                                static_cast<uint32_t>(shape.rope_size),
                                1 / std::sqrt(static_cast<float>(shape.head_size))};
    device_.launch("redraft_rope_append", rope_append_shape(rope), rope);
    attend(batch, index);
    const QuantiseParams quantise{b.attended.get(), nullptr, b.query_rows.view(), rows, query_size, query_size};
    device_.launch("redraft_quantise", quantise_shape(quantise), quantise);
    multiply(layer.output.view(), b.query_rows.view(), b.update.get(), rows, hidden);
    norm(b.update.get(), layer.ffn_norm.get(), nullptr);
    multiply(layer.gate.view(), b.hidden_rows.view(), b.gate.get(), rows, ffn);
    multiply(layer.up.view(), b.hidden_rows.view(), b.up.get(), rows, ffn);
    const SwigluParams swiglu{b.gate.get(), b.up.get(), b.ffn_rows.view(), rows, ffn};
    device_.launch("redraft_swiglu", swiglu_shape(swiglu), swiglu);
    multiply(layer.down.view(), b.ffn_rows.view(), b.update.get(), rows, hidden);
  }
  norm(b.update.get(), target_->final_norm.get(), b.normed.get());
}

// Logits of the rows that draw, their draws, the walk, the commit.
void CudaEngine::draw(const Batch& batch) {
  StepBuffers& b = *buffers_;
  const uint32_t hidden = static_cast<uint32_t>(target_->shape.hidden_size);
  const uint32_t vocab = static_cast<uint32_t>(target_->shape.vocab_size);
  if (batch.sample_count > 0) {
    const QuantiseParams quantise{b.normed.get(), b.sample_from.get(), b.hidden_rows.view(), batch.sample_count, hidden,
                                  hidden};
    device_.launch("redraft_quantise", quantise_shape(quantise), quantise);
    multiply(target_->head(), b.hidden_rows.view(), b.logits.get(), batch.sample_count, vocab);
    const SampleParams sample{b.logits.get(),   b.adjusted.get(),    b.sample_rows.get(), b.paths.get(),
                              b.sampling.get(), b.bias_tokens.get(), b.bias_values.get(), b.token_counts.get(),
                              arrays_.masks,    b.drawn.get(),       batch.sample_count,  vocab};
    device_.launch("redraft_sample", sample_shape(sample), sample);
  }
  const uint32_t count = static_cast<uint32_t>(batch.steps.size());
  const TreeWalkParams walk{b.walks.get(),    b.drawn.get(),      b.slots(), b.token_counts.get(),
                            b.walk_results(), b.draft_rows.get(), count,     vocab};
  device_.launch("redraft_tree_walk", tree_walk_shape(walk), walk);
  const CommitParams commit{b.kv_pages.get(),
                            arrays_.pages,
                            arrays_.commits,
                            b.walk_results()->path,
                            &b.walk_results()->accepted_count,
                            count,
                            sizeof(WalkResult) / 4,
                            static_cast<uint32_t>(layout_.layer_count),
                            static_cast<uint32_t>(layout_.kv_head_count),
                            static_cast<uint32_t>(layout_.head_size),
                            layout_.layer_elements()};
  device_.launch("redraft_kv_commit", commit_shape(commit), commit);
}

// Grows the trees of all drafting sequences a level at a time; the number of levels is the plan's.
void CudaEngine::draft(const Batch& batch) {
  if (!head_ || batch.beams.empty()) return;
  DraftBuffers& d = *draft_buffers_;
  const CudaHead& head = *head_;
  const uint32_t count = static_cast<uint32_t>(batch.beams.size());
  uint32_t width = 1, length = 0;
  for (const BeamSequence& beam : batch.beams)
    width = std::max(width, beam.beam_width), length = std::max(length, beam.beam_length);
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
  BeamParams beams{arrays_.beams,
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
  for (uint32_t level = 1; level < length; ++level) {
    beams.rows_before = beams.rows_after, beams.rows_after = width;
    draft_level(beams, count * beams.rows_before, level);
    device_.launch("redraft_beam_expand", beam_shape(beams), beams);
    std::swap(d.states, d.next_states);
  }
  device_.launch("redraft_beam_pack", beam_shape(beams), beams);
}

// The draft head over the rows of one level: tokens and states in, candidates out.
void CudaEngine::draft_level(const BeamParams& beams, uint32_t rows, uint32_t level) {
  DraftBuffers& d = *draft_buffers_;
  const CudaHead& head = *head_;
  const EmbedParams embed{target_->embedding.view(), d.row_token.get(), d.x.get(), rows};
  device_.launch("redraft_embed", embed_shape(embed), embed);
  const uint32_t gates = head.cell == DraftCell::kGru ? 3 * head.state_size : head.state_size;
  if (head.cell != DraftCell::kSum) {
    const QuantiseParams input{d.x.get(), nullptr, d.x_rows.view(), rows, head.hidden_size, head.hidden_size};
    device_.launch("redraft_quantise", quantise_shape(input), input);
    multiply(head.input.weight.view(), d.x_rows.view(), d.x_gates.get(), rows, gates);
    const DraftGatherParams gather{d.states.get(), d.row_from.get(), d.state_rows.view(), rows, head.state_size};
    device_.launch("redraft_draft_gather", draft_gather_shape(gather), gather);
    multiply(head.recurrent.weight.view(), d.state_rows.view(), d.s_gates.get(), rows, gates);
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
                             arrays_.noise,
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
