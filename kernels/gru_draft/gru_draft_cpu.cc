#include <algorithm>
#include <cmath>
#include <utility>

#include "../common/aligned.h"
#include "../common/error.h"
#include "../common/noise.h"
#include "../common/row_math.h"
#include "gru_draft_weights.h"

namespace redraft {

namespace {

// Rows a pass: bounds the working memory, whatever the batch. Rows are independent, so it changes no result.
constexpr size_t kRowsMax = 64;
constexpr size_t kLogitsMax = size_t{1} << 20;

// A row's own work takes 1 to 4 microseconds: two of them cost less than sharing them with a thread.
template <typename Task>
void for_rows(ThreadPool& pool, size_t row_count, Task&& task) {
  if (row_count > 2) {
    pool.run(row_count, task);
  } else {
    for (size_t r = 0; r < row_count; ++r) task(r);
  }
}

void add(float* x, const std::vector<float>& bias) {
  for (size_t i = 0; i < bias.size(); ++i) x[i] += bias[i];
}

}  // namespace

struct DraftRun::Memory {
  size_t rows_max = 0;
  size_t sequence_count = 0;
  size_t previous_count = 0;         // Rows of states.
  AlignedVector<float> context;      // [sequence_count, D]: c's part of the first layer; or c itself, [.., H].
  AlignedVector<float> states;       // [previous_count, S]: after the step before.
  AlignedVector<float> next_states;  // [rows of this step, S]
  // Scratch of one pass of row_count <= rows_max rows; inputs padded with zeros.
  QuantRows input, state, y_quant;
  AlignedVector<float> input_row, state_row, y;  // [rows_max, padded H], [.., padded S], [.., padded D]
  AlignedVector<float> gates_x, gates_s;         // [rows_max, 3 S] or [.., S]
  AlignedVector<float> block, logits;            // [rows_max, D], [rows_max, draft_vocab_size]
  // [rows_max, draft_vocab_size]: of the tokens that have noise of their own.
  AlignedVector<float> noise;
  AlignedVector<uint32_t> places, tokens;
};

DraftRun::DraftRun(const DraftHead& head, EmbeddingLookup embedding)
    : weights_(head.weights()), embedding_(std::move(embedding)), memory_(std::make_unique<Memory>()) {
  const DraftWeights& w = weights_;
  Memory& m = *memory_;
  m.rows_max = std::clamp<size_t>(kLogitsMax / w.draft_vocab_size, 1, kRowsMax);
  const size_t gates = w.input.weight.out_count();
  m.input.resize(m.rows_max, padded_inputs(w.hidden_size));
  m.state.resize(m.rows_max, padded_inputs(w.state_size));
  m.y_quant.resize(m.rows_max, padded_inputs(w.mlp_size));
  m.input_row.resize(m.rows_max * padded_inputs(w.hidden_size));
  m.state_row.resize(m.rows_max * padded_inputs(w.state_size));
  m.y.resize(m.rows_max * padded_inputs(w.mlp_size));
  m.gates_x.resize(m.rows_max * gates);
  m.gates_s.resize(m.rows_max * gates);
  m.block.resize(m.rows_max * w.mlp_size);
  m.logits.resize(m.rows_max * w.draft_vocab_size);
  m.noise.resize(m.rows_max * w.draft_vocab_size);
  m.places.resize(m.rows_max * w.draft_vocab_size);
  m.tokens.resize(m.rows_max * w.draft_vocab_size);
}

DraftRun::~DraftRun() = default;

void DraftRun::begin(ThreadPool& pool, const float* hidden, size_t hidden_stride, size_t sequence_count) {
  const DraftWeights& w = weights_;
  Memory& m = *memory_;
  const size_t h = w.hidden_size, s = w.state_size, h_padded = padded_inputs(h);
  const size_t context_size = w.first_context.present() ? w.mlp_size : h;
  m.sequence_count = m.previous_count = sequence_count;
  m.context.resize(sequence_count * context_size);
  m.states.resize(sequence_count * s);
  for (size_t begin = 0; begin < sequence_count; begin += m.rows_max) {
    const size_t row_count = std::min(m.rows_max, sequence_count - begin);
    float* context = m.context.data() + begin * context_size;
    float* states = m.states.data() + begin * s;
    for_rows(pool, row_count, [&](size_t r) {
      float* row = m.input_row.data() + r * h_padded;
      std::copy_n(hidden + (begin + r) * hidden_stride, h, row);
      m.input.quantise(r, row);
      if (!w.first_context.present()) std::copy_n(row, h, context + r * h);
    });
    if (w.first_context.present()) matmul(pool, w.first_context.weight, m.input, row_count, context, context_size);
    if (w.init.present()) matmul(pool, w.init.weight, m.input, row_count, states, s);
    for_rows(pool, row_count, [&](size_t r) {
      add(context + r * context_size, w.first_context.bias);
      if (!w.init.present()) return std::fill_n(states + r * s, s, 0.0f), void();
      add(states + r * s, w.init.bias);
      row_tanh(states + r * s, s);
    });
  }
}

void DraftRun::step(ThreadPool& pool, const DraftRow* rows, size_t row_count, size_t k, TokenLogprob* candidates) {
  Memory& m = *memory_;
  REDRAFT_ASSERT(k >= 1 && k <= kDraftCandidatesMax && k <= weights_.draft_vocab_size);
  for (size_t r = 0; r < row_count; ++r) {
    REDRAFT_ASSERT(static_cast<size_t>(rows[r].sequence) < m.sequence_count);
    REDRAFT_ASSERT(static_cast<size_t>(rows[r].state) < m.previous_count);
    REDRAFT_ASSERT(static_cast<size_t>(rows[r].token) < weights_.info.target_vocab_size);
  }
  m.next_states.resize(row_count * weights_.state_size);
  for (size_t begin = 0; begin < row_count; begin += m.rows_max) {
    const size_t count = std::min(m.rows_max, row_count - begin);
    advance(pool, rows + begin, count, m.next_states.data() + begin * weights_.state_size);
    run_mlp(pool, rows + begin, count);
    rank(pool, rows + begin, count, k, candidates + begin * k);
  }
  std::swap(m.states, m.next_states);
  m.previous_count = row_count;
}

void DraftRun::advance(ThreadPool& pool, const DraftRow* rows, size_t row_count, float* next) {
  const DraftWeights& w = weights_;
  Memory& m = *memory_;
  const size_t s = w.state_size, h_padded = padded_inputs(w.hidden_size), s_padded = padded_inputs(s);
  const size_t gates = w.input.weight.out_count();
  const bool has_weights = w.cell != DraftWeights::Cell::kSum;
  for_rows(pool, row_count, [&](size_t r) {
    float* input = m.input_row.data() + r * h_padded;
    float* state = m.state_row.data() + r * s_padded;
    embedding_(rows[r].token, input);
    std::copy_n(m.states.data() + static_cast<size_t>(rows[r].state) * s, s, state);
    if (!has_weights) return;
    m.input.quantise(r, input);
    m.state.quantise(r, state);
  });
  if (has_weights) {
    matmul(pool, w.input.weight, m.input, row_count, m.gates_x.data(), gates);
    matmul(pool, w.recurrent.weight, m.state, row_count, m.gates_s.data(), gates);
  }
  for_rows(pool, row_count, [&](size_t r) {
    const float* before = m.state_row.data() + r * s_padded;
    float* x = m.gates_x.data() + r * gates;
    float* u = m.gates_s.data() + r * gates;
    float* out = next + r * s;
    add(x, w.input.bias);
    add(u, w.recurrent.bias);
    if (w.cell == DraftWeights::Cell::kGru) {
      for (size_t i = 0; i < 2 * s; ++i) x[i] += u[i];
      row_sigmoid(x, 2 * s);  // r, then z.
      for (size_t i = 0; i < s; ++i) out[i] = x[2 * s + i] + x[i] * u[2 * s + i];
      row_tanh(out, s);
      for (size_t i = 0; i < s; ++i) out[i] = (1 - x[s + i]) * out[i] + x[s + i] * before[i];
    } else if (w.cell == DraftWeights::Cell::kSilu) {
      for (size_t i = 0; i < s; ++i) out[i] = x[i] + u[i];
      row_silu(out, s);
    } else {
      for (size_t i = 0; i < s; ++i) out[i] = m.input_row[r * h_padded + i] + before[i];
    }
    std::copy_n(out, s, m.state_row.data() + r * s_padded);
    m.state.quantise(r, m.state_row.data() + r * s_padded);
  });
}

void DraftRun::run_mlp(ThreadPool& pool, const DraftRow* rows, size_t row_count) {
  const DraftWeights& w = weights_;
  Memory& m = *memory_;
  const size_t h = w.hidden_size, s = w.state_size, d = w.mlp_size, d_padded = padded_inputs(d);
  const bool has_first = w.first_state.present();
  if (has_first) matmul(pool, w.first_state.weight, m.state, row_count, m.y.data(), d_padded);
  for_rows(pool, row_count, [&](size_t r) {
    float* y = m.y.data() + r * d_padded;
    const float* context = m.context.data() + static_cast<size_t>(rows[r].sequence) * (has_first ? d : h);
    if (has_first) {
      for (size_t i = 0; i < d; ++i) y[i] += context[i];
      if (w.first_silu) row_silu(y, d);
    } else {
      std::copy_n(context, h, y);
      std::copy_n(m.state_row.data() + r * padded_inputs(s), s, y + h);
    }
    m.y_quant.quantise(r, y);
  });
  for (const DraftLinear& layer : w.blocks) {
    matmul(pool, layer.weight, m.y_quant, row_count, m.block.data(), d);
    for_rows(pool, row_count, [&](size_t r) {
      float* y = m.y.data() + r * d_padded;
      float* block = m.block.data() + r * d;
      add(block, layer.bias);
      row_silu(block, d);
      for (size_t i = 0; i < d; ++i) y[i] += block[i];
      m.y_quant.quantise(r, y);
    });
  }
}

// Gathers the row's tokens that lie near its peak and makes their logits scores: logit / temperature + noise. Returns
// how many; places tells which.
size_t DraftRun::add_noise(const DraftNoise& noise, size_t row) {
  const DraftWeights& w = weights_;
  Memory& m = *memory_;
  const size_t size = w.draft_vocab_size;
  float* logits = m.logits.data() + row * size;
  float* values = m.noise.data() + row * size;
  uint32_t* places = m.places.data() + row * size;
  uint32_t* tokens = m.tokens.data() + row * size;
  const float peak = row_peak(logits, size).value, scale = w.logit_scale / noise.temperature;
  const size_t count = row_at_least(logits, size, peak - kNoiseDepth / scale, places);
  for (size_t i = 0; i < count; ++i)
    tokens[i] = w.draft_vocab.empty() ? places[i] : static_cast<uint32_t>(w.draft_vocab[places[i]]);
  row_gumbel(noise.seed, noise.position, tokens, count, values);
  for (size_t i = 0; i < count; ++i) logits[i] = (logits[places[i]] - peak) * scale + values[i];
  return count;
}

void DraftRun::rank(ThreadPool& pool, const DraftRow* rows, size_t row_count, size_t k, TokenLogprob* candidates) {
  const DraftWeights& w = weights_;
  Memory& m = *memory_;
  const size_t size = w.draft_vocab_size;
  matmul(pool, w.head.weight, m.y_quant, row_count, m.logits.data(), size);
  for_rows(pool, row_count, [&](size_t r) {
    float* logits = m.logits.data() + r * size;
    add(logits, w.head.bias);
    const bool sampled = rows[r].noise.temperature > 0;
    const size_t count = sampled ? add_noise(rows[r].noise, r) : size, kept = std::min(k, count);
    const uint32_t* places = sampled ? m.places.data() + r * size : nullptr;
    const double scale = sampled ? 1 : w.logit_scale;
    std::fill_n(candidates + r * k, k, TokenLogprob{-1, -INFINITY});
    if (kept == 0) return;
    RowItem best[kDraftCandidatesMax];
    row_top(logits, count, kept, best);
    const double log_total = std::log(row_exp_sum(logits, count, best[0].value, static_cast<float>(scale)));
    for (size_t i = 0; i < kept; ++i) {
      const double logprob = (double{best[i].value} - best[0].value) * scale - log_total;
      const size_t place = places ? places[best[i].index] : static_cast<size_t>(best[i].index);
      const int32_t token = w.draft_vocab.empty() ? static_cast<int32_t>(place) : w.draft_vocab[place];
      candidates[r * k + i] = {token, static_cast<float>(logprob)};
    }
  });
}

}  // namespace redraft
