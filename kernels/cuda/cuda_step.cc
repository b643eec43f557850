// One step on the device: what is launched, in order.
#include <algorithm>
#include <cmath>

#include "../target_model/decoder_rows.cuh"
#include "../tree_attention/tree_attention.cuh"
#include "cuda_engine.h"

namespace redraft::cuda {
namespace {

// CTAs that keep a device busy; with fewer, attention is cut finer.
constexpr uint32_t kCtasWanted = 264;

}  // namespace

StepShape CudaEngine::shape_of(const StepBatch& batch) const {
  if (!graphs_.on() || batch.row_count > kGraphRowsMax) return exact_shape(batch);
  const uint32_t group = static_cast<uint32_t>(target_->shape.head_count / target_->shape.kv_head_count);
  const StepBounds bounds{limits(), std::max(1u, kQueriesMax / group), group};
  return bucket_shape(batch, bounds, buffers_->upload.arrays().counts);
}

// Target and draft apart: their shapes change at different times, and are fewer so.
void CudaEngine::run(const StepBatch& batch) {
  const StepShape shape = shape_of(batch);
  const auto target = [&] { forward(shape), draw(shape); };
  const bool drafts = head_ && shape.drafts.most > 0;
  if (!shape.rows.live) {
    target();
    if (drafts) draft(shape);
    return;
  }
  graphs_.run(target_key(shape), target);
  if (drafts) graphs_.run(draft_key(shape), [&] { draft(shape); });
}

void CudaEngine::multiply(const DeviceMatrix& w, const DeviceRows& x, float* y, const Count& row_count,
                          uint32_t y_stride) {
  const MatmulParams p{w, x, y, row_count, y_stride};
  device_.launch(matmul_kernel(p), matmul_shape(p), p);
}

void CudaEngine::attend(const StepShape& step, size_t layer) {
  StepBuffers& b = *buffers_;
  const StepArrays& arrays = b.upload.arrays();
  const LlamaShape& shape = target_->shape;
  AttentionParams p{b.kv_pages.get() + layer * layout_.layer_elements(),
                    arrays.pages,
                    b.sequences.get(),
                    arrays.tiles,
                    b.masks.get(),
                    b.query.get(),
                    b.attended.get(),
                    b.partial.get(),
                    step.tiles,
                    static_cast<uint32_t>(shape.kv_head_count),
                    static_cast<uint32_t>(shape.head_size),
                    static_cast<uint32_t>(shape.head_count / shape.kv_head_count),
                    kSegmentSplits,
                    attention_part_count(step.keys_max, kSegmentSplits),
                    step.queries_max};
  AttentionParams finer = p;
  finer.splits_per_part = 1, finer.part_count = attention_part_count(step.keys_max, 1);
  if (p.tile_count.most * p.kv_head_count * p.part_count < kCtasWanted &&
      attention_partial_floats(finer) <= b.partial.size())
    p = finer;
  device_.launch("redraft_attention", attention_shape(p), p);
  if (p.part_count > 1) device_.launch("redraft_attention_join", attention_join_shape(p), p);
}

void CudaEngine::forward(const StepShape& step) {
  StepBuffers& b = *buffers_;
  const StepArrays& arrays = b.upload.arrays();
  const LlamaShape& shape = target_->shape;
  const StepLayoutParams layout{arrays.steps,      b.slots(),           arrays.pages,        arrays.mask_begin,
                                arrays.tokens,     b.position.get(),    b.kv_place.get(),    b.masks.get(),
                                b.sequences.get(), b.sample_rows.get(), b.sample_from.get(), b.paths.get(),
                                b.walks.get(),     step.sequences};
  device_.launch("redraft_step_layout", step_layout_shape(layout), layout);
  const Count rows = step.rows;
  const uint32_t hidden = static_cast<uint32_t>(shape.hidden_size);
  const uint32_t query_size = static_cast<uint32_t>(shape.query_size());
  const uint32_t ffn = static_cast<uint32_t>(shape.ffn_size);
  const auto norm = [&](const float* update, const float* weight, float* normed) {
    const NormParams p{b.x.get(), update, weight, normed, b.hidden_rows.view(), rows, hidden, shape.norm_epsilon};
    device_.launch("redraft_norm", norm_shape(p), p);
  };
  const EmbedParams embed{target_->embedding.view(), arrays.tokens, b.x.get(), rows};
  device_.launch("redraft_embed", embed_shape(embed), embed);
  for (size_t index = 0; index < target_->layers.size(); ++index) {
    const CudaLayer& layer = target_->layers[index];
    norm(index == 0 ? nullptr : b.update.get(), layer.attention_norm.get(), nullptr);
    products_->take(b.hidden_rows.view(), rows);
    products_->multiply(layer.query, b.query.get());
    products_->multiply(layer.key, b.key.get());
    products_->multiply(layer.value, b.value.get());
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
    attend(step, index);
    const QuantiseParams quantise{b.attended.get(), nullptr, b.query_rows.view(), rows, query_size, query_size};
    device_.launch("redraft_quantise", quantise_shape(quantise), quantise);
    products_->take(b.query_rows.view(), rows);
    products_->multiply(layer.output, b.update.get());
    norm(b.update.get(), layer.ffn_norm.get(), nullptr);
    products_->take(b.hidden_rows.view(), rows);
    products_->multiply(layer.gate, b.gate.get());
    products_->multiply(layer.up, b.up.get());
    const SwigluParams swiglu{b.gate.get(), b.up.get(), b.ffn_rows.view(), rows, ffn};
    device_.launch("redraft_swiglu", swiglu_shape(swiglu), swiglu);
    products_->take(b.ffn_rows.view(), rows);
    products_->multiply(layer.down, b.update.get());
  }
  norm(b.update.get(), target_->final_norm.get(), b.normed.get());
}

// Logits of the rows that draw, their draws, the walk, the commit.
void CudaEngine::draw(const StepShape& step) {
  StepBuffers& b = *buffers_;
  const StepArrays& arrays = b.upload.arrays();
  const uint32_t hidden = static_cast<uint32_t>(target_->shape.hidden_size);
  const uint32_t vocab = static_cast<uint32_t>(target_->shape.vocab_size);
  if (step.samples.most > 0) {
    const QuantiseParams quantise{b.normed.get(), b.sample_from.get(), b.hidden_rows.view(), step.samples, hidden,
                                  hidden};
    device_.launch("redraft_quantise", quantise_shape(quantise), quantise);
    multiply(target_->head(), b.hidden_rows.view(), b.logits.get(), step.samples, vocab);
    const SampleParams sample{b.logits.get(),   b.adjusted.get(),    b.sample_rows.get(), b.paths.get(),
                              b.sampling.get(), b.bias_tokens.get(), b.bias_values.get(), b.token_counts.get(),
                              arrays.masks,     b.drawn.get(),       step.samples,        vocab};
    device_.launch("redraft_sample", sample_shape(sample), sample);
  }
  const Count count = step.sequences;
  const TreeWalkParams walk{b.walks.get(),    b.drawn.get(),      b.slots(), b.token_counts.get(),
                            b.walk_results(), b.draft_rows.get(), count,     vocab};
  device_.launch("redraft_tree_walk", tree_walk_shape(walk), walk);
  const CommitParams commit{b.kv_pages.get(),
                            arrays.pages,
                            arrays.commits,
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

}  // namespace redraft::cuda
