// A kernel written in place, and what it did: for the interpreter's tests.
#pragma once
#include <bit>
#include <cstring>
#include <vector>

#include "../../common/test.h"
#include "ptx_warp.h"

namespace redraft::cuda_ptx::test {

using redraft::test::fail;

// A body with registers of every width. %rd1 and %rd2 point to the thread's own word of 64 bits, of what goes in and of
// what comes out; %rd3 to the first word that comes out; %r1 is the thread's index.
inline std::string program(const std::string& body) {
  return ".version 9.0\n.target sm_80\n.address_size 64\n.extern .shared .align 16 .b8 dynamic[];\n"
         ".visible .entry test(.param .u64 test_in, .param .u64 test_out)\n.maxntid 64, 1, 1\n{\n"
         ".reg .pred %p<9>; .reg .b16 %rs<9>; .reg .b32 %r<30>; .reg .f32 %f<30>; .reg .b64 %rd<20>; .reg .f64 "
         "%fd<9>;\n"
         ".shared .align 16 .b8 words[64];\n"
         "ld.param.u64 %rd1, [test_in];\nld.param.u64 %rd3, [test_out];\nmov.u32 %r1, %tid.x;\n"
         "mul.wide.u32 %rd2, %r1, 8;\nadd.s64 %rd1, %rd1, %rd2;\nadd.s64 %rd2, %rd3, %rd2;\n" +
         body + "\nret;\n}\n";
}

// Runs the body in one CTA, a thread for each word that goes in.
inline std::vector<uint64_t> run(const std::string& body, const std::vector<uint64_t>& in, uint32_t dynamic_bytes = 0) {
  const auto kernels = parse_ptx(program(body));
  std::vector<uint64_t> out(in.size());
  GlobalMemory memory;
  memory.add(in.data(), in.size() * 8), memory.add(out.data(), out.size() * 8);
  const void* params[] = {in.data(), out.data()};
  launch_ptx(kernels.at("test"), {{1, 1, 1}, static_cast<uint32_t>(in.size()), dynamic_bytes}, params, memory);
  return out;
}

// One value in each of 32 words.
inline std::vector<uint64_t> same(uint64_t value) { return std::vector<uint64_t>(kLanes, value); }
inline std::vector<uint64_t> counting() {
  std::vector<uint64_t> words(kLanes);
  for (uint32_t i = 0; i < kLanes; ++i) words[i] = i;
  return words;
}
inline uint64_t pair_of(float low, float high) {
  return static_cast<uint64_t>(std::bit_cast<uint32_t>(high)) << 32 | std::bit_cast<uint32_t>(low);
}
inline float low_float(uint64_t word) { return std::bit_cast<float>(static_cast<uint32_t>(word)); }

// What the body's fault says; empty: there is none.
inline std::string fault_of(const std::string& body, uint32_t threads = 32) {
  try {
    run(body, std::vector<uint64_t>(threads));
  } catch (const PtxFault& fault) { return fault.what(); }
  return "";
}
inline void expect_fault(const std::string& body, const std::string& words, uint32_t threads = 32) {
  const std::string said = fault_of(body, threads);
  if (said.find(words) == std::string::npos) fail(__FILE__, __LINE__) << "\"" << said << "\" lacks " << words << "\n";
}

}  // namespace redraft::cuda_ptx::test
