#include "cuda_model.h"

#include <algorithm>
#include <cmath>

#include "../common/error.h"

namespace redraft::cuda {
namespace {

constexpr size_t kHeadMax = 128;

std::vector<float> rope_table(const LlamaFile& file, size_t context_max, double (*function)(double)) {
  const LlamaShape& shape = file.shape();
  const std::vector<float> factors = file.rope_factors();
  const size_t pairs = shape.rope_size / 2;
  std::vector<float> table(context_max * pairs);
  for (size_t i = 0; i < pairs; ++i) {
    const float factor = factors.empty() ? 1 : factors[i];
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(shape.rope_size);
    const float frequency = static_cast<float>(std::pow(double(shape.rope_base), exponent)) / factor;
    for (size_t position = 0; position < context_max; ++position)
      table[position * pairs + i] = static_cast<float>(function(double(position) * frequency));
  }
  return table;
}

size_t bytes_of(const MatrixShape& shape) {
  if (shape.out_count == 0) return 0;
  return matrix_bytes(shape.out_count, static_cast<uint32_t>(shape.in_count), static_cast<uint32_t>(shape.bits));
}
size_t bytes_of(const DraftLinear& linear) {
  const size_t weight = linear.bf16.empty() ? bytes_of(linear.weight.shape()) : linear.bf16.size() * sizeof(uint16_t);
  return weight + linear.bias.size() * 4;
}

CudaLayer upload(Device& device, const LlamaLayer& from, WeightKind kind) {
  CudaLayer to;
  to.attention_norm = upload(device, from.attention_norm), to.ffn_norm = upload(device, from.ffn_norm);
  to.query = LayerMatrix(device, from.query, kind), to.key = LayerMatrix(device, from.key, kind);
  to.value = LayerMatrix(device, from.value, kind), to.output = LayerMatrix(device, from.output, kind);
  to.gate = LayerMatrix(device, from.gate, kind), to.up = LayerMatrix(device, from.up, kind);
  to.down = LayerMatrix(device, from.down, kind);
  return to;
}

}  // namespace

CudaTarget::CudaTarget(Device& device, const LlamaFile& file, size_t context_max, WeightKind kind, ThreadPool& pool)
    : shape(file.shape()) {
  if (shape.head_size > kHeadMax)
    throw Error(REDRAFT_UNSUPPORTED, "cannot run heads of " + std::to_string(shape.head_size) +
                                         " values on CUDA: at most " + std::to_string(kHeadMax));
  embedding = MatrixBuffer(device, file.embedding());
  if (file.has_head()) separate_head = MatrixBuffer(device, file.separate_head());
  final_norm = upload(device, file.final_norm());
  cosines = upload(device, rope_table(file, context_max, std::cos));
  sines = upload(device, rope_table(file, context_max, std::sin));
  std::vector<LlamaLayer> packed(pool.thread_count());
  for (size_t begin = 0; begin < shape.layer_count; begin += packed.size()) {
    const size_t count = std::min(packed.size(), shape.layer_count - begin);
    pool.run(count, [&](size_t i) { packed[i] = file.layer(begin + i); });
    for (size_t i = 0; i < count; ++i) layers.push_back(upload(device, packed[i], kind)), packed[i] = {};
  }
}

CudaGates::CudaGates(Device& device, const DraftLinear& linear) : bias(upload(device, linear.bias)) {
  const PackedMatrix& packed = linear.weight;
  if (!linear.bf16.empty()) weight = LayerMatrix(device, linear.bf16, packed.out_count(), packed.in_count());
  else if (linear.present()) weight = LayerMatrix(device, packed, WeightKind::kPacked);
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

size_t target_bytes(const LlamaFile& file, size_t context_max, WeightKind kind) {
  const LlamaShape& shape = file.shape();
  size_t bytes = bytes_of(file.embedding_shape()) + (file.has_head() ? bytes_of(file.head_shape()) : 0);
  bytes += 4 * (shape.hidden_size + context_max * shape.rope_size);
  for (size_t layer = 0; layer < shape.layer_count; ++layer) {
    bytes += 4 * 2 * shape.hidden_size;
    for (const MatrixShape& matrix : file.layer_shapes(layer)) bytes += LayerMatrix::bytes(matrix, kind);
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
