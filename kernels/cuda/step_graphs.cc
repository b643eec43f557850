#include "step_graphs.h"

#include <algorithm>
#include <cstdlib>

#include "../common/error.h"

namespace redraft::cuda {

StepGraphs::StepGraphs(Device& device) : device_(device) {
  const char* named = std::getenv("REDRAFT_CUDA_GRAPHS");
  const std::string word = named && *named ? named : "on";
  if (word != "on" && word != "off")
    throw Error(REDRAFT_BAD_CONFIG, "REDRAFT_CUDA_GRAPHS is \"" + word + "\"; \"on\" or \"off\" is meant");
  on_ = word == "on";
}

// Never one in flight: a step uses two at most, and is waited for.
void StepGraphs::drop_oldest() {
  entries_.erase(std::min_element(entries_.begin(), entries_.end(),
                                  [](const auto& a, const auto& b) { return a.second.last_use < b.second.last_use; }));
}

void StepGraphs::run(const GraphKey& key, const std::function<void()>& chain) {
  const auto [place, is_new] = entries_.try_emplace(key);
  Entry& entry = place->second;
  entry.last_use = ++clock_;
  if (is_new && entries_.size() > kGraphsMax) drop_oldest();
  if (!is_new && !entry.graph && !entry.refused) {
    try {
      entry.graph.emplace(device_.capture(chain));
      ++use_.captured;
    } catch (const Error& error) {
      if (error.status() != REDRAFT_NO_MEMORY) throw;
      entry.refused = true;
    }
  }
  if (entry.graph) {
    device_.launch(*entry.graph);
    ++use_.replayed;
  } else {
    chain();
    ++use_.plain;
  }
}

}  // namespace redraft::cuda
