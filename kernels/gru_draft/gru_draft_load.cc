// Reads config.json and model.safetensors into DraftWeights. Both files are hostile until checked.
#include <cmath>
#include <string_view>
#include <utility>

#include "../common/error.h"
#include "../common/half.h"
#include "../common/json.h"
#include "../common/mapped_file.h"
#include "../common/safetensors.h"
#include "gru_draft_weights.h"

namespace redraft {

namespace {

constexpr int64_t kSizeMax = 1 << 16;  // Of hidden, state and MLP.
constexpr int64_t kLayersMax = 16;
constexpr size_t kConfigBytesMax = size_t{1} << 20;

[[noreturn]] void refuse(const std::string& directory, const std::string& reason) {
  throw Error(REDRAFT_BAD_HEAD, "Cannot load draft head " + directory + ": " + reason);
}

// Columns [column_begin, column_begin + column_count) of a row-major matrix of out_count rows.
PackedMatrix pack_columns(const std::vector<float>& values, size_t out_count, size_t column_begin,
                          size_t column_count) {
  const size_t stride = values.size() / out_count, padded = padded_inputs(column_count);
  std::vector<float> rows(out_count * padded);
  for (size_t out = 0; out < out_count; ++out)
    for (size_t i = 0; i < column_count; ++i) rows[out * padded + i] = values[out * stride + column_begin + i];
  return PackedMatrix::pack_f32(rows.data(), out_count, padded);
}

// The same rows as bf16, up to a whole strip of them.
std::vector<uint16_t> bf16_rows(const std::vector<float>& values, size_t out_count, size_t in_count) {
  const size_t padded = padded_inputs(in_count);
  std::vector<uint16_t> rows((out_count + kStripOutputs - 1) / kStripOutputs * kStripOutputs * padded);
  for (size_t out = 0; out < out_count; ++out)
    for (size_t i = 0; i < in_count; ++i) rows[out * padded + i] = f32_to_bf16(values[out * in_count + i]);
  return rows;
}

class Loader {
 public:
  Loader(const std::string& directory, const DraftTarget& target, bool keeps_bf16)
      : directory_(directory),
        target_(target),
        keeps_bf16_(keeps_bf16),
        tensors_(SafeTensors::load(directory + "/model.safetensors", REDRAFT_BAD_HEAD)) {}

  DraftWeights ours(JsonFields& config) {
    DraftWeights& w = weights_;
    w.info.format = "redraft-head-1";
    w.info.cell = config.text("cell");
    const std::string digest = config.text("target_digest");
    if (digest != target_.digest)
      refuse(directory_, "it was trained for the model with digest " + digest + ", this one is " + target_.digest);
    const auto target_vocab_size = static_cast<size_t>(config.integer("target_vocab_size", 1, INT32_MAX));
    w.hidden_size = static_cast<size_t>(config.integer("hidden_size", 1, kSizeMax));
    w.state_size = static_cast<size_t>(config.integer("state_size", 1, kSizeMax));
    w.mlp_size = static_cast<size_t>(config.integer("mlp_size", 1, kSizeMax));
    const auto layers = static_cast<size_t>(config.integer("mlp_layers", 1, kLayersMax));
    w.draft_vocab_size = static_cast<size_t>(config.integer("draft_vocab_size", 1, INT32_MAX));
    w.logit_scale = static_cast<float>(config.number("logit_scale", 1e-3, 1e3, 1));
    check_target(w.hidden_size, target_vocab_size);

    const size_t h = w.hidden_size, s = w.state_size, d = w.mlp_size;
    w.init = linear("init.weight", "init.bias", s, h);
    if (w.info.cell == "gru") {
      w.cell = DraftWeights::Cell::kGru;
      w.input = gates("gru.w_ih", "gru.b_ih", 3 * s, h);
      w.recurrent = gates("gru.w_hh", "gru.b_hh", 3 * s, s);
    } else if (w.info.cell == "silu") {
      w.cell = DraftWeights::Cell::kSilu;
      w.input = gates("silu.w_ih", "", s, h);
      w.recurrent = gates("silu.w_hh", "silu.b_hh", s, s);
    } else {
      refuse(directory_, "config.json: \"cell\" is \"" + w.info.cell + "\", expected \"gru\" or \"silu\"");
    }
    first_layer("mlp.0.weight", "mlp.0.bias");
    for (size_t layer = 1; layer < layers; ++layer) {
      const std::string name = "mlp." + std::to_string(layer);
      w.blocks.push_back(linear(name + ".weight", name + ".bias", d, d));
    }
    w.head = linear("head.weight", tensors_.find("head.bias") ? "head.bias" : "", w.draft_vocab_size, d);
    read_draft_vocab();
    refuse_unknown_tensors();
    return finish(layers);
  }

  // Apple's drafter, as recurrent_drafting/modeling_drafter.py saves it. It does not say which model it is of.
  DraftWeights apples(JsonFields& config) {
    DraftWeights& w = weights_;
    w.info.format = "apple";
    const bool rnn = config.boolean("rnn", false);
    w.info.cell = rnn ? "silu" : "sum";
    w.cell = rnn ? DraftWeights::Cell::kSilu : DraftWeights::Cell::kSum;
    w.draft_vocab_size = static_cast<size_t>(config.integer("vocab_size", 1, INT32_MAX));
    w.hidden_size = w.state_size = static_cast<size_t>(config.integer("hidden_size", 1, kSizeMax));
    w.mlp_size = static_cast<size_t>(config.integer("exit_dim", 1, 2 * kSizeMax));
    const auto layers = static_cast<size_t>(config.integer("num_draft_layers", 0, kLayersMax));
    check_target(w.hidden_size, w.draft_vocab_size);

    const size_t h = w.hidden_size, d = w.mlp_size;
    if (rnn) {
      w.input = gates("rnn_w.weight", "", h, h);
      w.recurrent = gates("rnn_u.weight", "rnn_u.bias", h, h);
    }
    w.first_silu = false;
    if (d != 2 * h) first_layer("input_proj.weight", "input_proj.bias");
    for (size_t layer = 0; layer < layers; ++layer) {
      const std::string name = "lm_head." + std::to_string(layer) + ".linear";
      w.blocks.push_back(linear(name + ".weight", name + ".bias", d, d));
    }
    w.head = linear("lm_head." + std::to_string(layers) + ".weight", "", w.draft_vocab_size, d);
    return finish(layers);
  }

 private:
  void check_target(size_t hidden_size, size_t vocab_size) const {
    if (hidden_size != target_.hidden_size)
      refuse(directory_, "its hidden size is " + std::to_string(hidden_size) + ", the model's is " +
                             std::to_string(target_.hidden_size));
    if (vocab_size != target_.vocab_size)
      refuse(directory_, "it was trained for a vocabulary of " + std::to_string(vocab_size) + ", the model's has " +
                             std::to_string(target_.vocab_size));
  }

  std::vector<float> floats(const std::string& name, std::initializer_list<size_t> shape) {
    std::vector<float> values = tensors_.floats(name, shape);
    for (const float value : values)
      if (!std::isfinite(value)) refuse(directory_, "tensor \"" + name + "\" holds a value that is not finite");
    weights_.info.parameter_count += values.size();
    known_.push_back(name);
    return values;
  }

  DraftLinear gates(const std::string& weight, const std::string& bias, size_t out_count, size_t in_count) {
    return linear(weight, bias, out_count, in_count, keeps_bf16_);
  }

  DraftLinear linear(const std::string& weight, const std::string& bias, size_t out_count, size_t in_count,
                     bool keeps_bf16 = false) {
    DraftLinear made;
    const std::vector<float> values = floats(weight, {out_count, in_count});
    made.weight = pack_columns(values, out_count, 0, in_count);
    if (keeps_bf16) made.bf16 = bf16_rows(values, out_count, in_count);
    if (!bias.empty()) made.bias = floats(bias, {out_count});
    weights_.info.weight_bytes += made.weight.bytes() + made.bias.size() * sizeof(float);
    return made;
  }

  void first_layer(const std::string& weight, const std::string& bias) {
    DraftWeights& w = weights_;
    const std::vector<float> values = floats(weight, {w.mlp_size, w.hidden_size + w.state_size});
    w.first_context.weight = pack_columns(values, w.mlp_size, 0, w.hidden_size);
    w.first_context.bias = floats(bias, {w.mlp_size});
    w.first_state.weight = pack_columns(values, w.mlp_size, w.hidden_size, w.state_size);
    w.info.weight_bytes += w.first_context.weight.bytes() + w.first_state.weight.bytes() + w.mlp_size * sizeof(float);
  }

  void read_draft_vocab() {
    weights_.draft_vocab = tensors_.integers("draft_vocab", {weights_.draft_vocab_size});
    known_.push_back("draft_vocab");
    int64_t before = -1;
    for (const int32_t token : weights_.draft_vocab) {
      if (token <= before || static_cast<size_t>(token) >= target_.vocab_size)
        refuse(directory_, "tensor \"draft_vocab\" must rise and stay under " + std::to_string(target_.vocab_size) +
                               ", found " + std::to_string(token) + " after " + std::to_string(before));
      before = token;
    }
  }

  void refuse_unknown_tensors() const {
    for (const SafeTensor& tensor : tensors_.tensors()) {
      bool known = false;
      for (const std::string& name : known_) known = known || name == tensor.name;
      if (!known) refuse(directory_, "tensor \"" + tensor.name.substr(0, 200) + "\" does not belong to the head");
    }
  }

  DraftWeights finish(size_t layers) {
    DraftHeadInfo& info = weights_.info;
    info.hidden_size = weights_.hidden_size, info.state_size = weights_.state_size;
    info.mlp_size = weights_.mlp_size, info.mlp_layers = layers;
    info.draft_vocab_size = weights_.draft_vocab_size, info.target_vocab_size = target_.vocab_size;
    return std::move(weights_);
  }

  const std::string& directory_;
  const DraftTarget& target_;
  const bool keeps_bf16_;
  SafeTensors tensors_;
  DraftWeights weights_;
  std::vector<std::string> known_;
};

}  // namespace

DraftHead DraftHead::load(const std::string& directory, const DraftTarget& target, bool keeps_bf16) {
  const MappedFile file(directory + "/config.json", REDRAFT_BAD_HEAD);
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const Json json = Json::parse(text, REDRAFT_BAD_HEAD, file.path(), {.bytes_max = kConfigBytesMax});
  JsonFields config(json, REDRAFT_BAD_HEAD, file.path());
  const std::string format = config.text("format", "");
  const std::string model_type = config.text("model_type", "");
  const bool ours = format == "redraft-head-1";
  // Apple's format has no name of its own but the model type; older files lack even that.
  if (!ours && (!format.empty() || (!model_type.empty() && model_type != "recurrent_drafting_drafter")))
    refuse(directory, "config.json names the format \"" + (format.empty() ? model_type : format) +
                          "\", expected \"redraft-head-1\" or \"recurrent_drafting_drafter\"");
  Loader loader(directory, target, keeps_bf16);
  return DraftHead(std::make_unique<DraftWeights>(ours ? loader.ours(config) : loader.apples(config)));
}

DraftHead::DraftHead(std::unique_ptr<DraftWeights> weights) : weights_(std::move(weights)) {}
DraftHead::~DraftHead() = default;
DraftHead::DraftHead(DraftHead&&) noexcept = default;
DraftHead& DraftHead::operator=(DraftHead&&) noexcept = default;
const DraftHeadInfo& DraftHead::info() const { return weights_->info; }

}  // namespace redraft
