#include "engine_folder.h"

#include <fstream>
#include <sstream>

#include "../common/error.h"
#include "../common/json.h"
#include "redraft_trtllm.h"

namespace redraft::trtllm {
namespace {

constexpr int64_t kCountMax = 1 << 30;

[[noreturn]] void refuse(int32_t status, const std::string& path, const std::string& reason) {
  throw Error(status, "Cannot use TensorRT-LLM engine " + path + ": " + reason);
}

// A number that the builder always writes.
int64_t number(const Json& object, const char* name, const std::string& path) {
  const Json* value = object.find(name);
  int64_t number = 0;
  if (!value) refuse(REDRAFT_BAD_MODEL, path, std::string("config.json has no \"") + name + "\"");
  if (!value->integer(1, kCountMax, &number))
    refuse(REDRAFT_BAD_MODEL, path, std::string("config.json: \"") + name + "\" is not a whole number from 1 to 2^30");
  return number;
}

const Json& object(const Json& parent, const char* name, const std::string& path) {
  const Json* value = parent.find(name);
  if (!value || !value->is_object())
    refuse(REDRAFT_BAD_MODEL, path, std::string("config.json has no \"") + name + "\"");
  return *value;
}

}  // namespace

EngineFolder EngineFolder::read(const std::string& path) {
  std::ifstream file(path + "/config.json", std::ios::binary);
  if (!file) refuse(REDRAFT_BAD_MODEL, path, "it has no config.json; deploy/trtllm/build_engine.sh makes one");
  std::ostringstream text;
  text << file.rdbuf();
  const Json config = Json::parse(text.str(), REDRAFT_BAD_MODEL, path + "/config.json");
  if (!config.is_object()) refuse(REDRAFT_BAD_MODEL, path, "config.json is no object");
  const Json* version = config.find("version");
  const std::string release = version && version->is_string() ? version->text() : "unknown";
  if (release != REDRAFT_TRTLLM_RELEASE)
    refuse(REDRAFT_UNSUPPORTED, path,
           "it was built by TensorRT-LLM " + release + ", this shim is for " REDRAFT_TRTLLM_RELEASE
           "; build it anew with deploy/trtllm/build_engine.sh");
  const Json& model = object(config, "pretrained_config", path);
  const Json& build = object(config, "build_config", path);
  if (!model.find("redrafter_num_beams"))
    refuse(REDRAFT_UNSUPPORTED, path,
           "it was built without ReDrafter; build it with --speculative_decoding_mode explicit_draft_tokens");
  const Json* greedy = model.find("redrafter_greedy_search");
  return {path,
          release,
          number(model, "vocab_size", path),
          number(build, "max_seq_len", path),
          number(build, "max_batch_size", path),
          number(model, "redrafter_num_beams", path),
          number(model, "redrafter_draft_len_per_beam", path),
          !greedy || !greedy->is_bool() || greedy->boolean()};
}

}  // namespace redraft::trtllm
