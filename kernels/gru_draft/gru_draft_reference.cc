#include "gru_draft_reference.h"

#include <cmath>
#include <string_view>

#include "../common/error.h"
#include "../common/json.h"
#include "../common/safetensors.h"

namespace redraft {

namespace {

using Vector = std::vector<float>;

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
float silu(float x) { return x * sigmoid(x); }

struct Reference {
  SafeTensors tensors;
  Json config;

  size_t size_of(const char* name) const { return static_cast<size_t>(config.find(name)->number()); }

  // weight x + bias; a bias without a name, or that is not there, is 0.
  Vector linear(const std::string& weight, const std::string& bias, size_t out_count, const Vector& x) const {
    const Vector w = tensors.floats(weight, {out_count, x.size()});
    Vector y = tensors.find(bias) ? tensors.floats(bias, {out_count}) : Vector(out_count);
    for (size_t out = 0; out < out_count; ++out) {
      double sum = 0;
      for (size_t i = 0; i < x.size(); ++i) sum += double{w[out * x.size() + i]} * x[i];
      y[out] += static_cast<float>(sum);
    }
    return y;
  }

  Vector gru(const Vector& x, const Vector& state) const {
    const size_t s = state.size();
    const Vector gi = linear("gru.w_ih", "gru.b_ih", 3 * s, x), gh = linear("gru.w_hh", "gru.b_hh", 3 * s, state);
    Vector next(s);
    for (size_t i = 0; i < s; ++i) {
      const float reset = sigmoid(gi[i] + gh[i]), update = sigmoid(gi[s + i] + gh[s + i]);
      const float candidate = std::tanh(gi[2 * s + i] + reset * gh[2 * s + i]);
      next[i] = (1 - update) * candidate + update * state[i];
    }
    return next;
  }

  Vector simple(const Vector& x, const Vector& state, const char* w, const char* u, const char* b) const {
    const Vector from_x = linear(w, "", state.size(), x), from_state = linear(u, b, state.size(), state);
    Vector next(state.size());
    for (size_t i = 0; i < next.size(); ++i) next[i] = silu(from_x[i] + from_state[i]);
    return next;
  }

  void residual(Vector& y, const std::string& name) const {
    const Vector block = linear(name + ".weight", name + ".bias", y.size(), y);
    for (size_t i = 0; i < y.size(); ++i) y[i] += silu(block[i]);
  }
};

Vector concat(Vector a, const Vector& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Vector log_softmax(Vector logits, double scale) {
  double peak = -INFINITY, sum = 0;
  for (const float logit : logits) peak = std::fmax(peak, logit * scale);
  for (const float logit : logits) sum += std::exp(logit * scale - peak);
  for (float& logit : logits) logit = static_cast<float>(logit * scale - peak - std::log(sum));
  return logits;
}

Vector ours(const Reference& head, const Vector& hidden, const std::vector<Vector>& inputs) {
  const bool gru = head.config.find("cell")->text() == "gru";
  Vector state = head.linear("init.weight", "init.bias", head.size_of("state_size"), hidden);
  for (float& value : state) value = std::tanh(value);
  for (const Vector& x : inputs)
    state = gru ? head.gru(x, state) : head.simple(x, state, "silu.w_ih", "silu.w_hh", "silu.b_hh");
  Vector y = head.linear("mlp.0.weight", "mlp.0.bias", head.size_of("mlp_size"), concat(hidden, state));
  for (float& value : y) value = silu(value);
  for (size_t layer = 1; layer < head.size_of("mlp_layers"); ++layer) head.residual(y, "mlp." + std::to_string(layer));
  const Json* scale = head.config.find("logit_scale");
  return log_softmax(head.linear("head.weight", "head.bias", head.size_of("draft_vocab_size"), y),
                     scale ? scale->number() : 1);
}

Vector apples(const Reference& head, const Vector& hidden, const std::vector<Vector>& inputs) {
  Vector state(hidden.size());
  for (const Vector& x : inputs) {
    if (head.config.find("rnn")->boolean()) {
      state = head.simple(x, state, "rnn_w.weight", "rnn_u.weight", "rnn_u.bias");
    } else {
      for (size_t i = 0; i < state.size(); ++i) state[i] += x[i];
    }
  }
  Vector y = concat(hidden, state);
  const size_t exit_dim = head.size_of("exit_dim"), layers = head.size_of("num_draft_layers");
  if (exit_dim != y.size()) y = head.linear("input_proj.weight", "input_proj.bias", exit_dim, y);
  for (size_t layer = 0; layer < layers; ++layer) head.residual(y, "lm_head." + std::to_string(layer) + ".linear");
  const std::string last = "lm_head." + std::to_string(layers) + ".weight";
  return log_softmax(head.linear(last, "", head.size_of("vocab_size"), y), 1);
}

}  // namespace

std::vector<float> draft_reference(const std::string& directory, const std::vector<float>& hidden,
                                   const std::vector<int32_t>& beam, const EmbeddingLookup& embedding) {
  const MappedFile file(directory + "/config.json", REDRAFT_BAD_HEAD);
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const Reference head{SafeTensors::load(directory + "/model.safetensors", REDRAFT_BAD_HEAD),
                       Json::parse(text, REDRAFT_BAD_HEAD, file.path())};
  std::vector<Vector> inputs;
  for (const int32_t token : beam) {
    inputs.emplace_back(hidden.size());
    embedding(token, inputs.back().data());
  }
  return head.config.find("format") ? ours(head, hidden, inputs) : apples(head, hidden, inputs);
}

}  // namespace redraft
