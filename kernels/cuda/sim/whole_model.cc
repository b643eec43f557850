// Speculation on and off over a model, through the C ABI: `deno task verify:cuda` and a test run it on a simulated
// device. Arguments: a GGUF file, the folder of its draft head, tokens a sequence, a file with a prompt a line, as
// token ids. All prompts run at once without drafts, then at once with them; every second one is sampled.
#include <chrono>
#include <cstdlib>
#include <sstream>

#include "../../engine/engine_test_support.h"

using namespace redraft;
using namespace redraft::test;

namespace {

std::vector<std::vector<uint32_t>> read_prompts(const char* path) {
  std::vector<std::vector<uint32_t>> prompts;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::vector<uint32_t> tokens;
    for (uint32_t token; words >> token;) tokens.push_back(token);
    if (!tokens.empty()) prompts.push_back(tokens);
  }
  return prompts;
}

std::vector<Run> runs_of(const std::vector<std::vector<uint32_t>>& prompts) {
  std::vector<Run> runs(prompts.size());
  for (uint32_t i = 0; i < runs.size(); ++i) {
    runs[i].slot = i, runs[i].prompt = prompts[i];
    if (i % 2 == 1) runs[i].sampling = {i % 4 == 1 ? 0.8f : 1.0f, 7 + i, i % 4 == 1 ? 1.0f : 1.1f};
  }
  return runs;
}

std::vector<std::vector<uint32_t>> generate_all(const Opened& engine, std::vector<Run>& runs, size_t token_count) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<Run*> pointers;
  for (Run& run : runs) pointers.push_back(&run);
  auto out = generate(engine, pointers, token_count);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cerr << runs.size() << " sequences of " << token_count << " tokens, drafts of " << runs[0].packed
            << " packed tokens: " << seconds.count() << " s\n";
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const int token_count = argc == 5 ? std::atoi(argv[3]) : 0;
  const std::vector<std::vector<uint32_t>> prompts = read_prompts(argc == 5 ? argv[4] : "");
  size_t longest = 0, rows = 64;
  for (const auto& prompt : prompts) longest = std::max(longest, prompt.size()), rows += prompt.size();
  if (token_count < 1 || prompts.empty() || longest + static_cast<size_t>(token_count) + 16 > 16 * kPagesARun) {
    std::cerr << "usage: whole_model MODEL HEAD TOKENS PROMPTS; a prompt with its tokens has at most "
              << 16 * (kPagesARun - 1) << "\n";
    return 2;
  }
  Opened engine(false);  // Its tiny model makes way for the one asked for.
  redraft_close(engine.handle);
  const std::string config = std::string("{\"model\":\"") + argv[1] + "\",\"head\":\"" + argv[2] +
                             "\",\"threads\":1,\"slots_max\":" + std::to_string(prompts.size()) +
                             ",\"pages_max\":" + std::to_string(prompts.size() * kPagesARun) +
                             ",\"rows_max\":" + std::to_string(std::max(rows, 16 * prompts.size())) +
                             ",\"context_max\":" + std::to_string(16 * kPagesARun) + "}";
  if (redraft_open(reinterpret_cast<const uint8_t*>(config.data()), config.size(), &engine.handle) != REDRAFT_OK) {
    engine.handle = 0;
    std::cerr << engine.last_error() << "\n";
    return 1;
  }
  std::vector<Run> plain = runs_of(prompts), drafting = plain;
  for (Run& run : drafting) run.width = 2, run.length = 3, run.packed = 3, run.path_max = 6;
  const auto expected = generate_all(engine, plain, static_cast<size_t>(token_count));
  const auto got = generate_all(engine, drafting, static_cast<size_t>(token_count));
  size_t tokens = 0, differing = 0;
  uint32_t drafted = 0, accepted = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    tokens += expected[i].size();
    const size_t shorter = std::min(expected[i].size(), got[i].size());
    differing += std::max(expected[i].size(), got[i].size()) - shorter;
    for (size_t t = 0; t < shorter; ++t) differing += expected[i][t] != got[i][t];
    drafted += drafting[i].drafted, accepted += drafting[i].accepted;
  }
  std::cout << "{\"sequences\":" << prompts.size() << ",\"tokens\":" << tokens << ",\"differing_tokens\":" << differing
            << ",\"drafted\":" << drafted << ",\"accepted\":" << accepted << "}\n";
  return differing == 0 && drafted > 0 && tokens == prompts.size() * static_cast<size_t>(token_count) ? 0 : 1;
}
