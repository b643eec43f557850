#include "gguf.h"

#include <random>

#include "../common/error.h"
#include "../common/test.h"
#include "gguf_writer.h"
#include "llama_weights.h"

using namespace redraft;

namespace {

void expect_refused(const std::string& bytes, const char* words) {
  const TemporaryFile file(".gguf", bytes);
  EXPECT_THROW(Gguf gguf(file.path()), REDRAFT_BAD_MODEL, words);
}

std::string with(std::string bytes, size_t at, const std::string& patch) {
  return bytes.replace(at, patch.size(), patch);
}

}  // namespace

TEST(Gguf, ReadsValuesAndTensors) {
  GgufWriter writer;
  writer.text("a.text", "words");
  writer.u32("a.number", 7);
  writer.f32("a.float", 0.5f);
  writer.texts("a.list", {"x", "", "yy"});
  writer.random_f32("m", {3, 32}, 1, 5);
  const TemporaryFile file(".gguf", writer.bytes());
  const Gguf gguf(file.path());
  EXPECT_EQ(std::string(gguf.text("a.text")), std::string("words"));
  EXPECT_EQ(gguf.integer("a.number", 0, 10), uint64_t{7});
  EXPECT_EQ(gguf.number("a.float"), 0.5);
  EXPECT_EQ(gguf.texts("a.list").size(), size_t{3});
  EXPECT_EQ(gguf.matrix("m", 3, 32).in_count, size_t{32});
  EXPECT_EQ(gguf.integer("absent", 0, 10, 4), uint64_t{4});
  EXPECT_THROW(gguf.integer("a.number", 8, 10), REDRAFT_BAD_MODEL, "a.number is 7");
  EXPECT_THROW(gguf.text("a.number"), REDRAFT_BAD_MODEL, "no string");
  EXPECT_THROW(gguf.matrix("m", 32, 3), REDRAFT_BAD_MODEL, "expected 32 x 3");
  EXPECT_THROW(gguf.matrix("n", 32, 3), REDRAFT_BAD_MODEL, "tensor n is missing");
}

TEST(Gguf, RefusesFilesThatLie) {
  const std::string good = tiny_model_bytes();
  expect_refused("GG", "ends inside its header");
  expect_refused(with(good, 0, "GGML"), "not a GGUF file");
  expect_refused(with(good, 4, std::string("\x09\0\0\0", 4)), "version 9");
  expect_refused(with(good, 8, std::string(8, '\xff')), "tensors");
  expect_refused(with(good, 16, std::string(8, '\xff')), "metadata values");
  expect_refused(with(good, 24, std::string(8, '\xff')), "metadata key");
  expect_refused(good.substr(0, good.size() - 64), "lies outside the file");
  expect_refused(good.substr(0, 100), "ends inside");
  GgufWriter twice;
  twice.u32("k", 1), twice.u32("k", 2);
  expect_refused(twice.bytes(), "k occurs twice");
  GgufWriter odd;
  odd.tensor("w", static_cast<WeightType>(99), {32}, std::string(32, 'x'));
  expect_refused(odd.bytes(), "type 99");
  GgufWriter other;
  other.tensor("w", static_cast<WeightType>(13), {32}, std::string(32, 'x'));
  expect_refused(other.bytes(), "type Q5_K, which this build cannot read");
  GgufWriter ragged;
  ragged.tensor("w", WeightType::Q8_0, {33}, std::string(66, 'x'));
  expect_refused(ragged.bytes(), "not whole blocks");
  GgufWriter huge;
  huge.tensor("w", WeightType::F32, {uint64_t{1} << 40, uint64_t{1} << 40}, "");
  expect_refused(huge.bytes(), "impossible shape");
}

TEST(LlamaFile, RefusesWhatItWouldLeaveOut) {
  const auto expect = [](const char* words, const std::function<void(GgufWriter&)>& more) {
    const TemporaryFile path(".gguf", tiny_model_bytes(1, more));
    const Gguf gguf(path.path());
    EXPECT_THROW(LlamaFile(gguf).shape(), REDRAFT_UNSUPPORTED, words);
  };
  for (const std::string name : {"blk.1.attn_k.bias", "blk.0.ffn_gate_inp.weight", "blk.0.attn_q_norm.weight"})
    expect(name.c_str(), [&](GgufWriter& file) { file.random_f32(name, {32}, 1, 1); });
  expect("llama.rope.scaling.factor", [](GgufWriter& file) { file.f32("llama.rope.scaling.factor", 4); });
  expect("rope's base", [](GgufWriter& file) { file.f32("llama.rope.freq_base", -1); });
}

// By them memory is planned before a weight is read.
TEST(LlamaFile, ShapesAreThoseOfWhatIsPacked) {
  const TemporaryFile path(".gguf", tiny_model_bytes());
  const Gguf gguf(path.path());
  const LlamaFile file(gguf);
  EXPECT_TRUE(file.embedding_shape() == file.embedding().shape());
  EXPECT_TRUE(file.head_shape() == (file.has_head() ? file.separate_head() : file.embedding()).shape());
  for (size_t index = 0; index < file.shape().layer_count; ++index) {
    const LlamaLayer layer = file.layer(index);
    const LayerShapes packed = {layer.query.shape(), layer.key.shape(), layer.value.shape(), layer.output.shape(),
                                layer.gate.shape(),  layer.up.shape(),  layer.down.shape()};
    EXPECT_TRUE(file.layer_shapes(index) == packed);
  }
  for (const WeightType type :
       {WeightType::Q4_0, WeightType::Q4_1, WeightType::Q5_0, WeightType::Q8_0, WeightType::F16, WeightType::Q4_K}) {
    const std::vector<uint8_t> zeros(17 * weight_row_bytes(type, 256));
    const WeightView view{type, zeros.data(), 17, 256};
    EXPECT_TRUE(PackedMatrix::shape_of(view) == PackedMatrix::pack(view).shape());
  }
}

// Whatever bytes are changed, a file is read or refused; it never reads past its end (run under the sanitizers too).
TEST(Gguf, SurvivesRandomDamage) {
  const std::string good = tiny_model_bytes();
  std::mt19937 random(4711);
  ThreadPool pool(1);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = good;
    for (int hit = 0; hit < 1 + round % 4; ++hit) damaged[random() % 3000] = static_cast<char>(random());
    if (round % 5 == 0) damaged.resize(random() % damaged.size());
    if (damaged.empty()) continue;
    const TemporaryFile file(".gguf", damaged);
    try {
      LlamaWeights::load(Gguf(file.path()), pool);
    } catch (const Error& error) {
      EXPECT_TRUE(error.status() == REDRAFT_BAD_MODEL || error.status() == REDRAFT_UNSUPPORTED);
    }
  }
}

TEST(LlamaWeights, NamesWhatItCannotRun) {
  ThreadPool pool(1);
  GgufWriter other;
  other.text("general.architecture", "mamba");
  const TemporaryFile file(".gguf", other.bytes());
  EXPECT_THROW(LlamaWeights::load(Gguf(file.path()), pool), REDRAFT_UNSUPPORTED, "\"mamba\"");
  GgufWriter bare;
  bare.text("general.architecture", "llama");
  const TemporaryFile empty(".gguf", bare.bytes());
  EXPECT_THROW(LlamaWeights::load(Gguf(empty.path()), pool), REDRAFT_BAD_MODEL, "llama.embedding_length is missing");
}
