// Speculation on and off over a whole model, through the C ABI: `deno task verify:cuda` runs it on a simulated device.
// Arguments: a GGUF file, the folder of its draft head, tokens a sequence.
#include <chrono>
#include <cstdlib>

#include "../../engine/engine_test_support.h"

using namespace redraft;
using namespace redraft::test;

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: whole_model MODEL HEAD TOKENS\n";
    return 2;
  }
  const size_t token_count = static_cast<size_t>(std::atoi(argv[3]));
  Opened engine(false);  // Its tiny model makes way for the one asked for.
  redraft_close(engine.handle);
  const std::string config = std::string("{\"model\":\"") + argv[1] + "\",\"head\":\"" + argv[2] +
                             "\",\"threads\":1,\"slots_max\":8,\"pages_max\":64,\"rows_max\":64,\"context_max\":256}";
  if (redraft_open(reinterpret_cast<const uint8_t*>(config.data()), config.size(), &engine.handle) != REDRAFT_OK) {
    engine.handle = 0;
    std::cerr << engine.last_error() << "\n";
    return 1;
  }
  const auto start = std::chrono::steady_clock::now();
  size_t differing = 0;
  uint32_t drafted = 0, accepted = 0;
  for (const Sampling& sampling : {Sampling{}, Sampling{0.8f, 7, 1}, Sampling{1.0f, 9, 1.1f}}) {
    Run plain, run;
    plain.sampling = run.sampling = sampling;
    run.width = 4, run.length = 4, run.packed = 8;
    const auto expected = generate_one(engine, plain, token_count);
    Run* const pointer = &run;
    const auto got = generate(engine, {pointer}, token_count)[0];
    for (size_t i = 0; i < token_count; ++i)
      differing += i >= got.size() || i >= expected.size() || got[i] != expected[i];
    drafted += run.drafted, accepted += run.accepted;
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::cerr << "temperature " << sampling.temperature << ": " << differing << " tokens differ so far, " << accepted
              << " of " << drafted << " drafts accepted, " << seconds.count() << " s\n";
  }
  std::cout << "{\"sequences\":3,\"tokens\":" << 3 * token_count << ",\"differing_tokens\":" << differing
            << ",\"drafted\":" << drafted << ",\"accepted\":" << accepted << "}\n";
  return differing == 0 && drafted > 0 ? 0 : 1;
}
