#include "cuda_model.h"

#include <cmath>

#include "../common/error.h"

namespace redraft::cuda {
namespace {

constexpr size_t kHeadMax = 128;

std::vector<float> rope_table(const LlamaWeights& weights, size_t context_max, double (*function)(double)) {
  const LlamaShape& shape = weights.shape;
  const size_t pairs = shape.rope_size / 2;
  std::vector<float> table(context_max * pairs);
  for (size_t i = 0; i < pairs; ++i) {
    const float factor = weights.rope_factors.empty() ? 1 : weights.rope_factors[i];
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(shape.rope_size);
    const float frequency = static_cast<float>(std::pow(double(shape.rope_base), exponent)) / factor;
    for (size_t position = 0; position < context_max; ++position)
      table[position * pairs + i] = static_cast<float>(function(double(position) * frequency));
  }
  return table;
}

size_t bytes_of(const PackedMatrix& matrix) {
  if (matrix.out_count() == 0) return 0;
  return matrix_bytes(matrix.out_count(), static_cast<uint32_t>(matrix.in_count()),
                      static_cast<uint32_t>(matrix.bits()));
}
size_t bytes_of(const DraftLinear& linear) { return bytes_of(linear.weight) + linear.bias.size() * 4; }

}  // namespace

CudaTarget::CudaTarget(Device& device, const LlamaWeights& weights, size_t context_max, WeightKind kind)
    : shape(weights.shape) {
  if (shape.head_size > kHeadMax)
    throw Error(REDRAFT_UNSUPPORTED, "cannot run heads of " + std::to_string(shape.head_size) +
                                         " values on CUDA: at most " + std::to_string(kHeadMax));
  embedding = MatrixBuffer(device, weights.embedding);
  if (weights.separate_head.out_count()) separate_head = MatrixBuffer(device, weights.separate_head);
  final_norm = upload(device, weights.final_norm);
  cosines = upload(device, rope_table(weights, context_max, std::cos));
  sines = upload(device, rope_table(weights, context_max, std::sin));
  for (const LlamaLayer& from : weights.layers) {
    CudaLayer& to = layers.emplace_back();
    to.attention_norm = upload(device, from.attention_norm), to.ffn_norm = upload(device, from.ffn_norm);
    to.query = LayerMatrix(device, from.query, kind), to.key = LayerMatrix(device, from.key, kind);
    to.value = LayerMatrix(device, from.value, kind), to.output = LayerMatrix(device, from.output, kind);
    to.gate = LayerMatrix(device, from.gate, kind), to.up = LayerMatrix(device, from.up, kind);
    to.down = LayerMatrix(device, from.down, kind);
  }
}

CudaHead::CudaHead(Device& device, const DraftWeights& w)
    : cell(w.cell == DraftWeights::Cell::kGru    ? DraftCell::kGru
           : w.cell == DraftWeights::Cell::kSilu ? DraftCell::kSilu
                                                 : DraftCell::kSum),
      hidden_size(static_cast<uint32_t>(w.hidden_size)),
      state_size(static_cast<uint32_t>(w.state_size)),
      mlp_size(static_cast<uint32_t>(w.mlp_size)),
      draft_vocab_size(static_cast<uint32_t>(w.draft_vocab_size)),
      init(device, w.init),
      input(device, w.input),
      recurrent(device, w.recurrent),
      first_context(device, w.first_context),
      first_state(device, w.first_state),
      head(device, w.head),
      first_silu(w.first_silu),
      logit_scale(w.logit_scale) {
  if (!first_context.weight.present() || !first_state.weight.present())
    throw Error(REDRAFT_UNSUPPORTED, "cannot run a draft head without a first layer on CUDA: use the cpu backend");
  for (const DraftLinear& block : w.blocks) blocks.emplace_back(device, block);
  if (w.draft_vocab.empty()) return;
  draft_vocab = Buffer<uint32_t>(w.draft_vocab.size());
  device.copy_in(draft_vocab.pointer(), w.draft_vocab.data(), draft_vocab.bytes());
  device.wait();
}

size_t target_bytes(const LlamaWeights& weights, size_t context_max, WeightKind kind) {
  size_t bytes = bytes_of(weights.embedding) + bytes_of(weights.separate_head);
  bytes += 4 * (weights.final_norm.size() + context_max * weights.shape.rope_size);
  for (const LlamaLayer& layer : weights.layers) {
    bytes += 4 * (layer.attention_norm.size() + layer.ffn_norm.size());
    for (const PackedMatrix* matrix :
         {&layer.query, &layer.key, &layer.value, &layer.output, &layer.gate, &layer.up, &layer.down})
      bytes += LayerMatrix::bytes(*matrix, kind);
  }
  return bytes;
}

size_t head_bytes(const DraftWeights& w) {
  size_t bytes = 4 * w.draft_vocab.size();
  for (const DraftLinear* linear : {&w.init, &w.input, &w.recurrent, &w.first_context, &w.first_state, &w.head})
    bytes += bytes_of(*linear);
  for (const DraftLinear& block : w.blocks) bytes += bytes_of(block);
  return bytes;
}

}  // namespace redraft::cuda
