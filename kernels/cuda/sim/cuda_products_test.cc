// Layers' weights of every kind through the whole engine, and cuBLASLt beside the engine's own kernels: on the device
// that REDRAFT_CUDA_DRIVER names, with the library that REDRAFT_CUBLASLT names.
#include <cmath>

#include "../../common/e4m3.h"
#include "../../common/half.h"
#include "../../common/safetensors.h"
#include "../../engine/engine_test_support.h"
#include "../../gru_draft/gru_draft_weights.h"
#include "../cuda_engine.h"
#include "plain_target.h"
#include "setting.h"

using namespace redraft;
using namespace redraft::cuda;
using namespace redraft::test;

namespace {

std::vector<float> random_floats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

struct Multiplied {
  std::vector<float> y;
  std::string names;
};
Multiplied multiply(Device& device, const LayerMatrix& w, const std::vector<float>& x) {
  const uint32_t in = w.in_count(), out = w.out_count(), row_count = static_cast<uint32_t>(x.size() / in);
  Products products(device, w.kind(), row_count, in);
  products.try_out(w);
  Buffer<float> from(x.size()), y(product_rows(row_count) * out);
  RowsBuffer rows(row_count, in);
  device.copy_in(from.pointer(), x.data(), from.bytes());
  const QuantiseParams quantise{from.get(), nullptr, rows.view(), row_count, in, in};
  device.launch("redraft_quantise", quantise_shape(quantise), quantise);
  products.take(rows.view(), row_count);
  products.multiply(w, y.get());
  Multiplied result{std::vector<float>(row_count * out), products.names()};
  device.copy_out(result.y.data(), y.pointer(), result.y.size() * 4);
  device.wait();
  return result;
}

Multiplied multiply(const PackedMatrix& matrix, const std::vector<float>& x, WeightKind kind) {
  Device device;
  return multiply(device, LayerMatrix(device, matrix, kind), x);
}

double apart(const std::vector<float>& got, const std::vector<float>& expected) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += (double{got[i]} - expected[i]) * (double{got[i]} - expected[i]);
    size += double{expected[i]} * expected[i];
  }
  return std::sqrt(difference / size);
}

bool library_is_there() {
  Device device;
  std::string why;
  const bool there = CublasLt::open(&why) != nullptr;
  if (!there) fail(__FILE__, __LINE__) << "nothing to compare: " << why << "; name cuBLASLt in REDRAFT_CUBLASLT\n";
  return there;
}

// How far a kind's hidden states are from those of an f64 pass with the same weights.
double distance_from_f64(const char* kind, Rounding round) {
  const Setting setting("REDRAFT_CUDA_WEIGHTS", kind);
  const TemporaryFile model(".gguf", tiny_model_bytes());
  EngineConfig config{};
  config.model_path = model.path();
  config.threads = 1, config.slots_max = 2, config.pages_max = 8, config.rows_max = 40;
  CudaEngine engine(config);
  ThreadPool pool(1);
  const LlamaWeights weights = LlamaWeights::load(Gguf(model.path()), pool);
  std::vector<uint32_t> tokens(70);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<uint32_t>(i * 37 % kVocab);
  Numbers expected;
  for (const Numbers& row : plain_hidden(weights, tokens, {round}))
    expected.insert(expected.end(), row.begin(), row.end());
  std::vector<float> hidden(expected.size());
  engine.hidden(tokens.data(), tokens.size(), hidden.data(), nullptr, 0);
  return test::distance(hidden, expected);
}

std::string info_of(const Opened& engine) {
  std::string json(1 << 16, '\0');
  size_t bytes = 0;
  EXPECT_EQ(redraft_model_info(engine.handle, reinterpret_cast<uint8_t*>(json.data()), json.size(), &bytes),
            REDRAFT_OK);
  return json.substr(0, bytes);
}

void to_bf16(std::vector<float>& weights) {
  for (float& weight : weights) weight = bf16_to_f32(f32_to_bf16(weight));
}
void to_e4m3(std::vector<float>& weights) {
  float largest = 0;
  for (const float weight : weights) largest = std::max(largest, std::fabs(weight));
  const float scale = largest / kE4m3Max;
  for (float& weight : weights) weight = scale > 0 ? scale * e4m3_to_f32(f32_to_e4m3(weight / scale)) : 0;
}

}  // namespace

// Layouts and leading dimensions: shapes of no round numbers, more rows than one call has, and fewer.
TEST(CudaProducts, CublasLtAgreesWithOwnKernels) {
  if (!library_is_there()) return;
  for (const auto& [out, in] : {std::pair<size_t, size_t>{48, 96}, {40, 160}, {17, 64}})
    for (const size_t row_count : {1u, 7u, 150u}) {
      const PackedMatrix matrix = PackedMatrix::pack_f32(random_floats(out * in, 1).data(), out, in);
      const std::vector<float> x = random_floats(row_count * in, 2);
      const Multiplied by_library = multiply(matrix, x, WeightKind::kBf16);
      const Setting off("REDRAFT_CUBLASLT", "off");
      const Multiplied own = multiply(matrix, x, WeightKind::kBf16);
      EXPECT_EQ(by_library.names, std::string("cuBLASLt for 1 of 1 shapes of weights"));
      EXPECT_EQ(own.names, std::string("own kernels: REDRAFT_CUBLASLT is off"));
      EXPECT_TRUE(apart(by_library.y, own.y) < 1e-5);
      EXPECT_TRUE(apart(own.y, multiply(matrix, x, WeightKind::kPacked).y) < 0.01);
    }
}

// A library whose sums depend on a row's place is found out; its next algorithm is taken, or none.
TEST(CudaProducts, CublasLtMustKeepRowsApart) {
  if (!library_is_there()) return;
  const PackedMatrix matrix = PackedMatrix::pack_f32(random_floats(48 * 96, 1).data(), 48, 96);
  const std::vector<float> x = random_floats(9 * 96, 2);
  const std::vector<float> expected = multiply(matrix, x, WeightKind::kBf16).y;
  {
    const Setting one("REDRAFT_SIM_MIXING_ALGORITHMS", "1");
    const Multiplied second = multiply(matrix, x, WeightKind::kBf16);
    EXPECT_EQ(second.names, std::string("cuBLASLt for 1 of 1 shapes of weights"));
    EXPECT_EQ(second.y, expected);
  }
  const Setting all("REDRAFT_SIM_MIXING_ALGORITHMS", "8");
  const Multiplied none = multiply(matrix, x, WeightKind::kBf16);
  if (Device().name() == "simulated device")
    EXPECT_EQ(none.names, std::string("cuBLASLt for 0 of 1 shapes of weights"));
  EXPECT_TRUE(apart(none.y, expected) < 1e-5);
}

// bf16 rounds activations, too, and the tiny model makes much of little.
TEST(CudaProducts, EveryKindIsNearF64) {
  const double bf16 = distance_from_f64("bf16", to_bf16), fp8 = distance_from_f64("fp8", to_e4m3);
  EXPECT_TRUE(bf16 < 0.03);
  EXPECT_TRUE(fp8 < 0.002);
  EXPECT_TRUE(distance_from_f64("fp8", nullptr) > 0.02);  // They are other weights.
  std::cout << "  from f64 with the same weights: bf16 " << bf16 << ", fp8 " << fp8 << "\n";
}

// Neither speculation, nor chunks, nor company, nor graphs change a token, whatever the weights and whoever multiplies.
TEST(CudaProducts, NothingChangesATokenOfAnyKind) {
  struct Way {
    const char *weights, *library;
  };
  const char* const named = std::getenv("REDRAFT_CUBLASLT");
  for (const Way& way : {Way{"bf16", named && *named ? named : "libcublasLt.so.13"}, {"bf16", "off"}, {"fp8", "off"}}) {
    const Setting weights("REDRAFT_CUDA_WEIGHTS", way.weights), library("REDRAFT_CUBLASLT", way.library);
    const Opened engine;
    Run plain, run, other, greedy;
    plain.sampling = run.sampling = {0.8f, 3, 1};
    run.width = 3, run.length = 4, run.packed = 8, run.chunk = 7, run.slot = 2;
    other.sampling = {1.0f, 5, 1.1f}, other.width = 2, other.length = 3, other.packed = 5, other.slot = 1;
    greedy.slot = 5;
    const auto expected = generate_one(engine, plain, 14);
    EXPECT_EQ(generate(engine, {&other, &run, &greedy}, 14)[1], expected);
    EXPECT_TRUE(run.drafted > 0);
    const Setting graphs("REDRAFT_CUDA_GRAPHS", "off");
    const Opened without;
    EXPECT_EQ(generate_one(without, plain, 14), expected);
  }
}

// The cell's bf16 weights are the file's own numbers, rounded once: nearer to it than the packed ones.
TEST(CudaProducts, TheCellsBf16WeightsAreTheFiles) {
  const Opened engine;
  const std::string model = tiny_model_bytes(), folder = engine.head_directory.string();
  const DraftTarget target{64, kVocab, sha256_hex(reinterpret_cast<const uint8_t*>(model.data()), model.size())};
  const DraftHead head = DraftHead::load(folder, target, true);
  const DraftLinear& gates = head.weights().input;
  std::vector<float> exact =
      SafeTensors::load(folder + "/model.safetensors", REDRAFT_BAD_HEAD).floats("gru.w_ih", {96, 64});
  const std::vector<float> x = random_floats(40 * 64, 3);
  std::vector<float> expected(40 * 96);
  for (size_t row = 0; row < 40; ++row)
    for (size_t out = 0; out < 96; ++out)
      for (size_t i = 0; i < 64; ++i) expected[row * 96 + out] += exact[out * 64 + i] * x[row * 64 + i];
  EXPECT_TRUE(DraftHead::load(folder, target).weights().input.bf16.empty());
  to_bf16(exact);
  EXPECT_EQ(gates.bf16.size(), exact.size());
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_EQ(bf16_to_f32(gates.bf16[i]), exact[i]);
  Device device;
  const LayerMatrix w(device, gates.bf16, 96, 64);
  const Setting off("REDRAFT_CUBLASLT", "off");
  const double bf16 = apart(multiply(device, w, x).y, expected);
  EXPECT_TRUE(bf16 < 1.0 / 256);  // Half a last bit of eight, of weights and of rows.
}

// Which the engine says, and drafts with: the same tree as with packed ones, but for a little.
TEST(CudaProducts, DraftsWithACellInBf16) {
  const auto best = [](const char* kind) {
    const Setting setting("REDRAFT_CUDA_WEIGHTS", kind);
    const Opened engine;
    EXPECT_TRUE(info_of(engine).find(std::string("\"cell_weights\":\"") + kind) != std::string::npos);
    Record record{0, REDRAFT_PLAN_RESET | REDRAFT_PLAN_SAMPLE | REDRAFT_PLAN_NEXT, 0, prompt(), {}, {0, 1, 2, 3}};
    record.width = 3, record.length = 4, record.packed = 8;
    std::vector<uint32_t> result;
    EXPECT_EQ(engine.step(plan_words({record}), &result), REDRAFT_OK);
    const uint32_t pending = result[kResultHeader + 6];
    EXPECT_TRUE(pending > 4);
    std::vector<float> logprobs(pending);
    std::memcpy(logprobs.data(), &result[kResultHeader + 11], pending * 4);
    return logprobs;
  };
  const std::vector<float> packed = best("packed"), bf16 = best("bf16");
  EXPECT_EQ(packed.size(), bf16.size());
  for (size_t i = 0; i < packed.size(); ++i) EXPECT_NEAR(packed[i], bf16[i], 0.1);
}

TEST(CudaProducts, TheKindIsOneOfThree) {
  const Setting setting("REDRAFT_CUDA_WEIGHTS", "fp4");
  std::string words;
  try {
    weight_kind_asked();
  } catch (const Error& error) { words = error.what(); }
  EXPECT_EQ(words, std::string("REDRAFT_CUDA_WEIGHTS is \"fp4\"; \"packed\", \"bf16\" or \"fp8\" is meant"));
}
