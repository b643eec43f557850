// What trtllm-build wrote beside an engine: its config.json, as far as we read it.
#pragma once
#include <cstdint>
#include <string>

namespace redraft::trtllm {

struct EngineFolder {
  std::string path, release;
  int64_t vocab_size, context_max, batch_max, beams, draft_length;
  bool greedy;  // Built to take the best token whatever the temperature.

  // Throws Error: REDRAFT_BAD_MODEL if the file is missing or malformed, REDRAFT_UNSUPPORTED if it is of another
  // release or was built without ReDrafter; it names the folder and says what to do.
  static EngineFolder read(const std::string& path);
};

}  // namespace redraft::trtllm
