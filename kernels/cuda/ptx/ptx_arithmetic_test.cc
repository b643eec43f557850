// Numbers and bits, held against the host's own arithmetic and against PTX's words.
#include <cfenv>
#include <cmath>
#include <limits>
#include <random>

#include "../../common/half.h"
#include "ptx_test_support.h"

using namespace redraft;
using namespace redraft::cuda_ptx;
using namespace redraft::cuda_ptx::test;

namespace {

constexpr const char* kLoadPair = "ld.global.u64 %rd4, [%rd1];\nmov.b64 {%f1, %f2}, %rd4;\n";
constexpr const char* kStoreFloat = "st.global.f32 [%rd2], %f3;";

// By the host's own unit, in the direction that it is set to.
float host_fma(float a, float b, float c, int direction) {
  const volatile float va = a, vb = b, vc = c;
  std::fesetround(direction);
  volatile float result = std::fma(va, vb, vc);
  std::fesetround(FE_TONEAREST);
  return result;
}
float host_sum(float a, float b, int direction) {
  const volatile float va = a, vb = b;
  std::fesetround(direction);
  volatile float result = va + vb;
  std::fesetround(FE_TONEAREST);
  return result;
}

// Of every size, subnormal and infinite ones among them, and some that nearly cancel.
std::vector<uint64_t> awkward_pairs(uint32_t seed) {
  std::mt19937 random(seed);
  const float special[] = {0.0f, -0.0f, INFINITY, -INFINITY, std::nanf(""), 1e-45f, -1e-45f, 3.4e38f, -3.4e38f, 1.0f};
  std::vector<uint64_t> pairs(kLanes);
  for (uint64_t& pair : pairs) {
    const float a = random() % 5 == 0 ? special[random() % 10] : std::bit_cast<float>(static_cast<uint32_t>(random()));
    float b = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (random() % 3 == 0) b = std::bit_cast<float>(static_cast<uint32_t>(std::bit_cast<uint32_t>(-a) + random() % 3));
    if (random() % 5 == 0) b = special[random() % 10];
    pair = pair_of(a, b);
  }
  return pairs;
}

bool alike(float a, float b) { return (a != a && b != b) || std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

uint64_t one(const std::string& body, uint64_t in = 0) { return run(body, same(in))[9]; }

}  // namespace

TEST(PtxArithmetic, RoundsInEachDirection) {
  const std::pair<const char*, int> directions[] = {
      {"rn", FE_TONEAREST}, {"rz", FE_TOWARDZERO}, {"rm", FE_DOWNWARD}, {"rp", FE_UPWARD}};
  for (const auto& [rounding, direction] : directions)
    for (uint32_t seed = 0; seed < 60; ++seed) {
      const auto in = awkward_pairs(seed);
      const std::string name(rounding), head(kLoadPair), tail(kStoreFloat);
      const auto sums = run(head + "add." + name + ".f32 %f3, %f1, %f2;\n" + tail, in);
      const auto differences = run(head + "sub." + name + ".f32 %f3, %f1, %f2;\n" + tail, in);
      const auto fused = run(head + "fma." + name + ".f32 %f3, %f1, %f2, %f1;\n" + tail, in);
      for (uint32_t l = 0; l < kLanes; ++l) {
        const float a = low_float(in[l]), b = low_float(in[l] >> 32);
        EXPECT_TRUE(alike(low_float(sums[l]), host_sum(a, b, direction)));
        EXPECT_TRUE(alike(low_float(differences[l]), host_sum(a, -b, direction)));
        EXPECT_TRUE(alike(low_float(fused[l]), host_fma(a, b, a, direction)));
      }
    }
}

TEST(PtxArithmetic, TakesTheLesserAsPtxDoes) {
  const auto least = [](float a, float b) {
    return low_float(one(std::string(kLoadPair) + "min.f32 %f3, %f1, %f2;\n" + kStoreFloat, pair_of(a, b)));
  };
  const auto greatest = [](float a, float b) {
    return low_float(one(std::string(kLoadPair) + "max.f32 %f3, %f1, %f2;\n" + kStoreFloat, pair_of(a, b)));
  };
  EXPECT_EQ(least(2, std::nanf("")), 2.0f);
  EXPECT_EQ(greatest(std::nanf(""), -2), -2.0f);
  EXPECT_TRUE(std::signbit(least(0.0f, -0.0f)) && std::signbit(least(-0.0f, 0.0f)));
  EXPECT_TRUE(!std::signbit(greatest(0.0f, -0.0f)) && !std::signbit(greatest(-0.0f, 0.0f)));
  EXPECT_TRUE(std::isnan(least(std::nanf(""), std::nanf(""))));
}

TEST(PtxArithmetic, ConvertsWhatIsOutOfRange) {
  const auto converted = [](const std::string& types, float value) {
    return one(std::string(kLoadPair) + "cvt." + types + ".f32 %rd5, %f1;\nst.global.u64 [%rd2], %rd5;",
               pair_of(value, 0));
  };
  EXPECT_EQ(static_cast<int64_t>(converted("rzi.s32", -2.9f)), -2);
  EXPECT_EQ(converted("rzi.s32", 3e9f), 0x7fffffffu);
  EXPECT_EQ(converted("rzi.s32", std::nanf("")), 0u);
  EXPECT_EQ(converted("rzi.u32", -5.0f), 0u);
  EXPECT_EQ(converted("rzi.u32", 4294967296.0f), 0xffffffffu);
  EXPECT_EQ(converted("rzi.u64", std::nanf("")), uint64_t{1} << 63);
  EXPECT_EQ(converted("rni.s32", 2.5f), 2u);
  EXPECT_EQ(converted("rpi.s32", 2.1f), 3u);
  EXPECT_EQ(static_cast<int64_t>(converted("rmi.s32", -2.1f)), -3);
  const auto between = [](float value) {
    return low_float(one(std::string(kLoadPair) + "cvt.sat.f32.f32 %f3, %f1;\n" + kStoreFloat, pair_of(value, 0)));
  };
  EXPECT_TRUE(between(-1) == 0 && between(0.25f) == 0.25f && between(7) == 1 && between(std::nanf("")) == 0);
}

TEST(PtxArithmetic, NarrowsAndWidens) {
  const std::string load = "ld.global.u64 %rd4, [%rd1];\n", store = "st.global.u64 [%rd2], %rd5;";
  EXPECT_EQ(one(load + "cvt.s64.s8 %rd5, %rd4;\n" + store, 0x1f0), ~uint64_t{15});
  EXPECT_EQ(one(load + "cvt.u64.u8 %rd5, %rd4;\n" + store, 0x1f0), 0xf0u);
  EXPECT_EQ(one("ld.global.s8 %rs1, [%rd1];\nst.global.u16 [%rd2], %rs1;", 0x80), 0xff80u);
  EXPECT_EQ(one("ld.global.u16 %rd5, [%rd1+2];\n" + store, 0xfedcba98), 0xfedcu);
  EXPECT_EQ(
      one("ld.global.v4.u16 {%r2, %r3, %r4, %r5}, [%rd1];\nst.global.v2.u32 [%rd2], {%r5, %r2};", 0x0004000300020001),
      0x0000000100000004u);
  const std::string half = std::string(kLoadPair) + "cvt.rn.f16.f32 %rs1, %f1;\ncvt.f32.f16 %f3, %rs1;\n" + kStoreFloat;
  EXPECT_EQ(low_float(one(half, pair_of(1.0f + 0x1p-11f, 0))), 1.0f);  // A tie, to even.
  EXPECT_EQ(low_float(one(half, pair_of(1.0f + 0x3p-11f, 0))), 1.0f + 0x1p-9f);
  const std::string brain = std::string(kLoadPair) +
                            "cvt.rn.bf16x2.f32 %r2, %f2, %f1;\nmov.b32 {%rs1, %rs2}, %r2;\n"
                            "cvt.f32.bf16 %f3, %rs2;\nst.global.f32 [%rd2+0], %f3;";
  EXPECT_EQ(low_float(one(brain, pair_of(0, 1.0f + 0x1p-8f))), 1.0f);
  EXPECT_EQ(low_float(one(brain, pair_of(0, 1.0f + 0x3p-8f))), 1.0f + 0x1p-6f);
}

TEST(PtxArithmetic, TakesHalvesInPairs) {
  const auto of = [](const std::string& opcode, uint32_t a, uint32_t b) {
    return one("ld.global.u64 %rd4, [%rd1];\nmov.b64 {%r2, %r3}, %rd4;\n" + opcode +
                   ".f16x2 %r4, %r2, %r3;\nst.global.u32 [%rd2], %r4;",
               static_cast<uint64_t>(b) << 32 | a);
  };
  EXPECT_EQ(of("sub", 0x3c004000, 0x40003c00), 0xbc003c00u);     // 1 - 2 and 2 - 1.
  EXPECT_EQ(of("add.rn", 0x68013c00, 0x3c001000), 0x68023c00u);  // Two ties, each to the even one.
  EXPECT_EQ(of("mul", 0x7bff3c01, 0x40003c01), 0x7c003c02u);     // Over the largest; and 1.00195..
}

TEST(PtxArithmetic, DividesAndMultipliesWhole) {
  const std::string load = "ld.global.u64 %rd4, [%rd1];\nmov.b64 {%r2, %r3}, %rd4;\n",
                    store = "st.global.u32 [%rd2], %r4;";
  const auto of = [&](const std::string& opcode, uint32_t a, uint32_t b) {
    return static_cast<uint32_t>(one(load + opcode + " %r4, %r2, %r3;\n" + store, static_cast<uint64_t>(b) << 32 | a));
  };
  EXPECT_EQ(of("div.s32", 0xfffffff9u, 2), 0xfffffffdu);  // -7 / 2 is -3.
  EXPECT_EQ(of("rem.s32", 0xfffffff9u, 2), 0xffffffffu);
  EXPECT_EQ(of("div.s32", 0x80000000u, 0xffffffffu), 0x80000000u);
  EXPECT_EQ(of("div.u32", 7, 0), 0xffffffffu);
  EXPECT_EQ(of("mul.hi.s32", 0xffffffffu, 5), 0xffffffffu);
  EXPECT_EQ(of("mul.hi.u32", 0xffffffffu, 5), 4u);
  EXPECT_EQ(of("shr.s32", 0x80000000u, 40), 0xffffffffu);
  EXPECT_EQ(of("shr.u32", 0x80000000u, 31), 1u);
  EXPECT_EQ(of("shl.b32", 1, 32), 0u);
  EXPECT_EQ(one("ld.global.u64 %rd4, [%rd1];\nmul.hi.u64 %rd5, %rd4, %rd4;\nst.global.u64 [%rd2], %rd5;", ~uint64_t{0}),
            ~uint64_t{1});
  EXPECT_EQ(one("ld.global.u64 %rd4, [%rd1];\nmul.hi.s64 %rd5, %rd4, 3;\nst.global.u64 [%rd2], %rd5;", ~uint64_t{4}),
            ~uint64_t{0});
}

TEST(PtxArithmetic, MovesBits) {
  const std::string load = "ld.global.u32 %r2, [%rd1];\n", store = "\nst.global.u32 [%rd2], %r4;";
  const auto of = [&](const std::string& operation, uint32_t in) { return one(load + operation + store, in); };
  EXPECT_EQ(of("bfi.b32 %r4, %r2, -1, 4, 8;", 0x1a5), 0xfffffa5fu);
  EXPECT_EQ(of("bfi.b32 %r4, %r2, 0, 28, 8;", 0x1a5), 0x50000000u);
  EXPECT_EQ(of("bfe.u32 %r4, %r2, 8, 8;", 0x12345678), 0x56u);
  EXPECT_EQ(of("popc.b32 %r4, %r2;", 0xf0f1), 9u);
  EXPECT_EQ(of("clz.b32 %r4, %r2;", 0), 32u);
  EXPECT_EQ(of("brev.b32 %r4, %r2;", 0x80000001u << 1), 0x40000000u);
  EXPECT_EQ(of("bfind.u32 %r4, %r2;", 0x1000), 12u);
  EXPECT_EQ(of("bfind.shiftamt.u32 %r4, %r2;", 0x1000), 19u);
  EXPECT_EQ(of("bfind.u32 %r4, %r2;", 0), 0xffffffffu);
  EXPECT_EQ(of("prmt.b32 %r4, %r2, 0x11223344, 0x4b07;", 0x80aabbcc), 0x44ffcc11u);
  EXPECT_EQ(of("lop3.b32 %r4, %r2, 0xcc, 0xaa, 0x96;", 0xf0), 0x96u);
  EXPECT_EQ(of("shf.l.wrap.b32 %r4, %r2, %r2, 8;", 0x12345678), 0x34567812u);
  EXPECT_EQ(of("shf.r.wrap.b32 %r4, %r2, %r2, 40;", 0x12345678), 0x78123456u);
}

TEST(PtxArithmetic, ComparesWithANan) {
  const auto holds = [](const std::string& comparison, float a, float b) {
    return one(std::string(kLoadPair) + "setp." + comparison +
                   ".f32 %p1, %f1, %f2;\nselp.u32 %r4, 1, 0, %p1;\n"
                   "st.global.u32 [%rd2], %r4;",
               pair_of(a, b)) == 1;
  };
  const float nan = std::nanf("");
  for (const char* ordered : {"lt", "le", "gt", "ge", "eq", "ne", "num"}) EXPECT_TRUE(!holds(ordered, nan, 1));
  for (const char* unordered : {"ltu", "leu", "gtu", "geu", "equ", "neu", "nan"}) EXPECT_TRUE(holds(unordered, 1, nan));
  EXPECT_TRUE(holds("lt", 1, 2) && !holds("gtu", 1, 2) && holds("leu", 2, 2) && !holds("neu", 2, 2) &&
              holds("ne", 1, 2));
}

TEST(PtxArithmetic, JoinsAtomicsInEitherMemory) {
  for (const std::string space : {"global", "shared"}) {
    const std::string at = space == "global" ? "[%rd3]" : "[words+8]";
    const auto after = [&](const std::string& start, const std::string& operation) {
      const std::string set = "mov.u32 %r2, " + start + ";\nst." + space + ".u32 " + at + ", %r2;\n";
      return static_cast<uint32_t>(
          run(set + operation + "\nld." + space + ".u32 %r3, " + at + ";\nst.global.u32 [%rd3], %r3;", same(0))[0]);
    };
    const std::string place = space + ".";
    EXPECT_EQ(after("5", "red." + place + "add.u32 " + at + ", %r1;"), 5 + 496u);
    EXPECT_EQ(after("5", "atom." + place + "max.u32 %r4, " + at + ", %r1;"), 31u);
    EXPECT_EQ(after("-5", "red." + place + "min.s32 " + at + ", %r1;"), 0xfffffffbu);
    EXPECT_EQ(after("64", "red." + place + "or.b32 " + at + ", %r1;"), 95u);
    EXPECT_EQ(after("7", "atom." + place + "cas.b32 %r4, " + at + ", 7, %r1;"), 0u);  // The first lane alone.
    EXPECT_EQ(after("7", "atom." + place + "exch.b32 %r4, " + at + ", %r1;"), 31u);
    EXPECT_EQ(after("0", "cvt.rn.f32.u32 %f1, %r1;\nred." + place + "add.f32 " + at + ", %f1;"),
              std::bit_cast<uint32_t>(496.0f));
  }
  // What each lane found there.
  const auto found = run("atom.global.add.u32 %r4, [%rd3], 1;\nbar.warp.sync -1;\nst.global.u32 [%rd2], %r4;", same(0));
  EXPECT_EQ(found, counting());
}

// A tile times its own upper half, turned: lane by lane, those are the same words.
TEST(PtxArithmetic, MultipliesTilesOfBrains) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  float a[16][16];
  for (auto& row : a)
    for (float& value : row) value = bf16_to_f32(f32_to_bf16(normal(random)));
  std::vector<uint64_t> in(2 * kLanes);  // Of each lane the words of inputs from 2 t on, then of those 8 further.
  for (uint32_t i = 0; i < 2 * kLanes; ++i) {
    const uint32_t g = i % kLanes / 4, k = 2 * (i % 4) + 8 * (i / kLanes);
    const auto word = [&](uint32_t row) {
      return static_cast<uint32_t>(f32_to_bf16(a[row][k + 1])) << 16 | f32_to_bf16(a[row][k]);
    };
    in[i] = static_cast<uint64_t>(word(g + 8)) << 32 | word(g);
  }
  // Two warps do the same; the first stores the upper rows, the second the lower ones.
  const auto out = run(
      "and.b32 %r2, %r1, 31;\nmul.wide.u32 %rd5, %r2, 8;\nld.param.u64 %rd6, [test_in];\nadd.s64 %rd6, %rd6, %rd5;\n"
      "ld.global.v2.u32 {%r3, %r4}, [%rd6];\nld.global.v2.u32 {%r5, %r6}, [%rd6+256];\nmov.f32 %f5, 0f3F800000;\n"
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, {%r3, %r4, %r5, %r6}, {%r3, %r5}, "
      "{%f5, %f5, %f5, %f5};\nsetp.lt.u32 %p1, %r1, 32;\n@%p1 st.global.v2.f32 [%rd2], {%f1, %f2};\n"
      "@!%p1 st.global.v2.f32 [%rd2], {%f3, %f4};",
      in);
  for (uint32_t lane = 0; lane < kLanes; ++lane)
    for (uint32_t n = 0; n < 4; ++n) {
      const uint32_t row = lane / 4 + 8 * (n / 2), column = 2 * (lane % 4) + n % 2;
      double sum = 1;
      for (uint32_t k = 0; k < 16; ++k) sum += static_cast<double>(a[row][k]) * a[column][k];
      EXPECT_NEAR(low_float(out[lane + 32 * (n / 2)] >> (32 * (n % 2))), sum, 1e-5);
    }
}
