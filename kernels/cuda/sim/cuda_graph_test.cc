// Graphs: what a captured chain keeps and what it reads anew, what a capture refuses, and that a step's bits are the
// same with graphs and without. On the device that REDRAFT_CUDA_DRIVER names.
#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "../../engine/engine_test_support.h"
#include "../cuda_engine.h"

using namespace redraft;
using namespace redraft::cuda;
using namespace redraft::test;

namespace {

std::string words_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) { return error.what(); }
  return "";
}
void expect_words(const std::string& words, const char* part) {
  if (words.find(part) == std::string::npos) fail(__FILE__, __LINE__) << '"' << words << "\" lacks " << part << "\n";
}

// Sets a variable for a while.
class Setting {
 public:
  Setting(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Setting() { unsetenv(name_); }

 private:
  const char* name_;
};

using Results = std::vector<std::vector<uint32_t>>;

// Three sequences that come one after the other, each with a budget and a way to draw of its own.
Results results_of(const Opened& files, const char* graphs, StepGraphs::Use* use) {
  const Setting setting("REDRAFT_CUDA_GRAPHS", graphs);
  EngineConfig config{};
  config.model_path = files.model.path(), config.head_path = files.head_directory.string();
  config.threads = 1, config.slots_max = 8, config.pages_max = 64, config.rows_max = 256;
  CudaEngine engine(config);
  const Sampling samplings[] = {{}, {0.9f, 5, 1.2f}, {0.7f, 3, 1, {7, 9}}};
  uint32_t computed[3] = {};
  Results results;
  for (uint32_t step = 0; step < 16; ++step) {
    std::vector<Record> records;
    for (uint32_t i = 0; i < 3 && 3 * i <= step; ++i) {
      Record record{i, REDRAFT_PLAN_SAMPLE | REDRAFT_PLAN_TREE, computed[i], {}, {}, {}, 2 + i / 2, 3 + i, 6 + i};
      record.sampling = samplings[i];
      if (computed[i] == 0) {
        record.flags = REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE;
        record.tokens = prompt(), record.pages = {6 * i, 6 * i + 1, 6 * i + 2, 6 * i + 3, 6 * i + 4, 6 * i + 5};
      }
      records.push_back(record);
    }
    const auto plan = plan_words(records);
    std::vector<uint32_t>& result = results.emplace_back(1 << 14);
    result.resize(engine.step(reinterpret_cast<const uint8_t*>(plan.data()), plan.size() * 4,
                              reinterpret_cast<uint8_t*>(result.data()), result.size() * 4) /
                  4);
    result[6] = 0;  // How long it took.
    size_t at = kResultHeader;
    for (const Record& record : records) computed[record.slot] = result[at + 2], at += result[at] / 4;
  }
  *use = engine.graphs().use();
  return results;
}

StepBatch batch_of(uint32_t rows, uint32_t sequences) {
  StepBatch batch;
  batch.steps.resize(sequences), batch.tiles.resize(sequences);
  batch.row_count = batch.sample_count = rows;
  batch.keys_max = 300, batch.queries_max = 18;
  batch.beams.assign(sequences, {0, 3, 4, 8});
  return batch;
}

}  // namespace

TEST(CudaGraph, ReadsMemoryWhenItIsLaunched) {
  Device device;
  Buffer<uint32_t> memory(4);
  const HostBytes from_bytes(16), to_bytes(16);
  uint32_t* const from = reinterpret_cast<uint32_t*>(from_bytes.get());
  uint32_t* const to = reinterpret_cast<uint32_t*>(to_bytes.get());
  const auto got = [&] { return std::vector<uint32_t>(to, to + 4); };
  std::iota(from, from + 4, 1u), std::fill_n(to, 4, 0u);
  const Graph graph = device.capture([&] {
    device.copy_in(memory.pointer(), from, 16);
    device.fill_zero(memory.pointer() + 4, 4);
    device.copy_out(to, memory.pointer(), 16);
  });
  EXPECT_EQ(graph.node_count(), size_t{3});
  device.wait();
  EXPECT_EQ(got(), (std::vector<uint32_t>(4)));  // Captured, not done.
  std::iota(from, from + 4, 5u);
  device.launch(graph);
  device.wait();
  EXPECT_EQ(got(), (std::vector<uint32_t>{5, 0, 7, 8}));
  from[0] = 9;
  device.launch(graph), device.launch(graph);
  device.wait();
  EXPECT_EQ(got(), (std::vector<uint32_t>{9, 0, 7, 8}));
}

TEST(CudaGraph, KeepsParametersAndReadsCountsAnew) {
  Device device;
  Buffer<uint32_t> live(1);
  Buffer<float> x(3 * 32), scales(3), sums(3);
  Buffer<int8_t> values(3 * 64);
  const std::vector<float> ones(3 * 32, 1.0f);
  device.copy_in(x.pointer(), ones.data(), x.bytes());
  QuantiseParams p{x.get(), nullptr, {values.get(), scales.get(), sums.get(), 32}, {3, live.get()}, 32, 32};
  const Graph graph = device.capture([&] { device.launch("redraft_quantise", quantise_shape(p), p); });
  p = {};
  for (const uint32_t count : {2u, 3u, 0u}) {
    std::vector<float> got(3);
    device.copy_in(live.pointer(), &count, 4);
    device.fill_zero(scales.pointer(), scales.bytes());
    device.launch(graph);
    device.copy_out(got.data(), scales.pointer(), 12);
    device.wait();
    for (uint32_t row = 0; row < 3; ++row) EXPECT_EQ(got[row] > 0, row < count);
  }
}

TEST(CudaGraph, RefusesWhatACaptureMayNotHold) {
  Device device;
  Buffer<uint32_t> memory(1);
  const uint32_t one = 1;
  uint32_t got = 0;
  expect_words(words_of([&] { device.capture([&] { device.wait(); }); }), "STREAM_CAPTURE_UNSUPPORTED");
  expect_words(words_of([&] { device.capture([&] { Buffer<uint8_t>(64); }); }), "STREAM_CAPTURE_UNSUPPORTED");
  expect_words(words_of([&] { device.capture([&] { device.capture([] {}); }); }), "ILLEGAL_STATE");
  // A refusal that is not heeded spoils the capture all the same.
  expect_words(words_of([&] {
                 device.capture([&] {
                   words_of([&] { device.wait(); });
                   device.copy_in(memory.pointer(), &one, 4);
                 });
               }),
               "STREAM_CAPTURE_INVALIDATED");
  // Another thread's memory is its own affair.
  const Graph graph = device.capture([&] {
    std::thread([&] {
      device.enter();
      Buffer<uint8_t> other(64);
    }).join();
    device.copy_in(memory.pointer(), &one, 4);
  });
  device.launch(graph);
  device.copy_out(&got, memory.pointer(), 4);
  device.wait();
  EXPECT_EQ(got, 1u);
}

TEST(CudaGraph, StepsOfABucketShareAShape) {
  const StepBounds bounds{{256, 8, 1024}, 21, 3};
  const StepCounts* const counts = reinterpret_cast<const StepCounts*>(4096);
  const auto shape = [&](const StepBatch& batch) { return bucket_shape(batch, bounds, counts); };
  const StepShape a = shape(batch_of(9, 3)), b = shape(batch_of(30, 4)), c = shape(batch_of(33, 5));
  EXPECT_EQ(target_key(a), target_key(b));
  EXPECT_EQ(draft_key(a), draft_key(b));
  EXPECT_TRUE(target_key(b) != target_key(c));
  EXPECT_TRUE(draft_key(b) != draft_key(c));
  EXPECT_EQ(a.rows.most, 32u);
  EXPECT_EQ(a.rows.live, &counts->rows);
  EXPECT_EQ(a.keys_max, 512u);
  EXPECT_EQ(a.queries_max, 32u);
  EXPECT_EQ(c.drafts.most, 8u);
  StepBatch chunk = batch_of(1, 1);
  chunk.row_count = 200, chunk.beams.clear(), chunk.tiles.resize(10), chunk.sample_count = 0;
  EXPECT_EQ(shape(chunk).rows.most, 256u);
  EXPECT_EQ(shape(chunk).samples.most, 0u);
  EXPECT_EQ(shape(chunk).drafts.most, 0u);
  EXPECT_EQ(shape(chunk).tiles.most, 16u);
}

TEST(CudaGraph, ChangesNoBitOfAStep) {
  const Opened files;
  StepGraphs::Use off, on;
  const Results expected = results_of(files, "off", &off), got = results_of(files, "on", &on);
  for (size_t step = 0; step < expected.size(); ++step) EXPECT_EQ(got[step], expected[step]);
  EXPECT_EQ(off.captured + off.replayed + off.plain, uint64_t{0});
  EXPECT_TRUE(on.captured >= 4);
  EXPECT_TRUE(on.replayed > on.plain);
  EXPECT_EQ(on.replayed + on.plain, uint64_t{2 * 16});
  std::cout << "  " << on.captured << " graphs captured, " << on.replayed << " launched, " << on.plain << " chains\n";
}

TEST(CudaGraph, DoesWithoutWhereTheDeviceHasNoMemoryForOne) {
  const Opened files;
  StepGraphs::Use off, on;
  const Results expected = results_of(files, "off", &off);
  const Setting setting("REDRAFT_SIM_GRAPHS_MAX", "1");
  const Results got = results_of(files, "on", &on);
  for (size_t step = 0; step < expected.size(); ++step) EXPECT_EQ(got[step], expected[step]);
  EXPECT_TRUE(on.captured >= 1);
}

TEST(CudaGraph, TheSwitchIsOnOrOff) {
  const Opened files;
  StepGraphs::Use use;
  expect_words(words_of([&] { results_of(files, "of", &use); }), "REDRAFT_CUDA_GRAPHS is \"of\"; \"on\" or \"off\"");
}
