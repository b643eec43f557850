// How far the CUDA engine's hidden states and logits are from the CPU engine's, and each from an f64 pass with the
// same weights: a test runs it on a simulated device. Arguments: a GGUF file, a file with token ids on one line.
//
// What bf16 explains is measured, not guessed: an f64 pass whose weights and rows are rounded to bf16 before each
// product, as a model that is served in bf16 has them, and its distance from the same f64 pass without.
#include <fstream>
#include <iostream>

#include "../../common/half.h"
#include "../../engine/engine.h"
#include "../cuda_engine.h"
#include "plain_target.h"

using namespace redraft;
using namespace redraft::test;

namespace {

void to_bf16(std::vector<float>& numbers) {
  for (float& number : numbers) number = bf16_to_f32(f32_to_bf16(number));
}

struct Rows {
  Numbers hidden, logits;
};

template <class Opened>
Rows rows_of(const EngineConfig& config, const std::vector<uint32_t>& tokens, const LlamaShape& shape) {
  Opened engine(config);
  std::vector<float> hidden(tokens.size() * shape.hidden_size), logits(tokens.size() * shape.vocab_size);
  engine.hidden(tokens.data(), tokens.size(), hidden.data(), logits.data(), 0);
  return {{hidden.begin(), hidden.end()}, {logits.begin(), logits.end()}};
}

Rows plain_rows(const LlamaWeights& weights, const std::vector<uint32_t>& tokens, const Kept& kept) {
  const std::vector<Numbers> hidden = plain_hidden(weights, tokens, kept);
  Rows rows{{}, plain_logits(weights, hidden, kept)};
  for (const Numbers& row : hidden) rows.hidden.insert(rows.hidden.end(), row.begin(), row.end());
  return rows;
}

// Rows whose likeliest token is the same.
size_t agreeing(const Numbers& a, const Numbers& b, size_t vocab_size) {
  size_t count = 0;
  const auto best = [&](const Numbers& logits, size_t row) {
    const auto begin = logits.begin() + static_cast<ptrdiff_t>(row * vocab_size);
    return std::max_element(begin, begin + static_cast<ptrdiff_t>(vocab_size)) - begin;
  };
  for (size_t row = 0; row < a.size() / vocab_size; ++row) count += best(a, row) == best(b, row);
  return count;
}

void print(const char* name, const Rows& a, const Rows& b, size_t vocab_size, const char* end = ",") {
  std::cout << "\"" << name << "\":{\"hidden\":" << distance(a.hidden, b.hidden)
            << ",\"logits\":" << distance(a.logits, b.logits)
            << ",\"same_best\":" << agreeing(a.logits, b.logits, vocab_size) << "}" << end;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<uint32_t> tokens;
  std::ifstream file(argc == 3 ? argv[2] : "");
  for (uint32_t token; file >> token;) tokens.push_back(token);
  if (tokens.empty()) {
    std::cerr << "usage: logits_parity MODEL TOKENS\n";
    return 2;
  }
  try {
    EngineConfig config{};
    config.model_path = argv[1];
    config.threads = 1, config.slots_max = 1, config.pages_max = 8, config.rows_max = 64;
    config.context_max = std::max<size_t>(64, tokens.size());
    ThreadPool pool(1);
    const LlamaWeights weights = LlamaWeights::load(Gguf(argv[1]), pool);
    const Rows cuda = rows_of<cuda::CudaEngine>(config, tokens, weights.shape);
    const Rows cpu = rows_of<Engine>(config, tokens, weights.shape);
    const Rows exact = plain_rows(weights, tokens, {}), bf16 = plain_rows(weights, tokens, {to_bf16, to_bf16});
    const size_t vocab = weights.shape.vocab_size;
    std::cout << "{\"rows\":" << tokens.size() << ",";
    print("cuda_cpu", cuda, cpu, vocab), print("cuda_f64", cuda, exact, vocab);
    print("cpu_f64", cpu, exact, vocab), print("bf16_f64", bf16, exact, vocab, "}\n");
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
