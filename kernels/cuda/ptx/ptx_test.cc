// How lanes go apart and meet, and what is refused.
#include "ptx_test_support.h"

using namespace redraft::cuda_ptx;
using namespace redraft::cuda_ptx::test;

TEST(Ptx, LanesThatLoopedApartMeetAgain) {
  // Lane l adds l, l - 1, .. 1; then all shuffle.
  const auto out =
      run("mov.u32 %r2, %r1;\nmov.u32 %r3, 0;\n"
          "$loop:\nsetp.eq.s32 %p1, %r2, 0;\n@%p1 bra $done;\nadd.s32 %r3, %r3, %r2;\nsub.s32 %r2, %r2, 1;\n"
          "bra.uni $loop;\n$done:\nshfl.sync.bfly.b32 %r4|%p2, %r3, 1, 31, -1;\nst.global.u32 [%rd2], %r4;",
          same(0));
  for (uint32_t l = 0; l < 32; ++l) EXPECT_EQ(out[l], uint64_t{(l ^ 1) * ((l ^ 1) + 1) / 2});
}

TEST(Ptx, HalvesOfAWarpVoteApart) {
  const auto out =
      run("setp.lt.u32 %p1, %r1, 16;\nand.b32 %r2, %r1, 1;\nsetp.eq.s32 %p2, %r2, 1;\n@%p1 bra $low;\n"
          "vote.sync.ballot.b32 %r3, %p2, 0xffff0000;\nbra.uni $end;\n"
          "$low:\nnot.pred %p2, %p2;\nvote.sync.ballot.b32 %r3, %p2, 65535;\n$end:\nst.global.u32 [%rd2], %r3;",
          same(0));
  for (uint32_t l = 0; l < 32; ++l) EXPECT_EQ(out[l], uint64_t{l < 16 ? 0x5555u : 0xaaaa0000u});
}

TEST(Ptx, LanesThatEndedAreNotWaitedFor) {
  const auto out =
      run("setp.ge.u32 %p1, %r1, 20;\n@%p1 ret;\nredux.sync.add.u32 %r2, %r1, -1;\nbar.warp.sync -1;\n"
          "st.global.u32 [%rd2], %r2;",
          same(0));
  for (uint32_t l = 0; l < 32; ++l) EXPECT_EQ(out[l], uint64_t{l < 20 ? 190u : 0});
}

TEST(Ptx, WarpsMeetAtBarriers) {
  // The second warp reads what the first one wrote after it; a guard keeps one lane of each from the store.
  const auto out =
      run("and.b32 %r2, %r1, 31;\nshr.u32 %r3, %r1, 5;\nshl.b32 %r4, %r2, 1;\nmov.u32 %r5, dynamic;\nadd.s32 %r5, %r5, "
          "%r4;\n"
          "setp.eq.s32 %p1, %r3, 1;\ncvt.u16.u32 %rs1, %r1;\n@!%p1 st.shared.u16 [%r5], %rs1;\nbar.sync 0;\n"
          "setp.ne.s32 %p2, %r2, 7;\nld.shared.u16 %r6, [%r5];\n@%p2 st.global.u32 [%rd2], %r6;",
          std::vector<uint64_t>(64), 64);
  for (uint32_t t = 0; t < 64; ++t) EXPECT_EQ(out[t], uint64_t{t % 32 == 7 ? 0 : t % 32});
}

TEST(Ptx, SaysWhatNoKernelMay) {
  expect_fault("ld.global.u32 %r2, [%rd3+-8];", "out of bounds of 4 bytes");
  expect_fault("ld.global.u64 %rd4, [%rd2+256];", "out of bounds");  // Past the end, by every lane.
  expect_fault("ld.global.u64 %rd4, [%rd2+4];", "misaligned");
  expect_fault("st.shared.u32 [words+64], %r1;", "of shared memory");
  expect_fault("ld.param.u64 %rd4, [test_out+8];", "of the parameters");
  expect_fault("mov.u64 %rd4, 0;\nld.global.u32 %r2, [%rd4];", "line 17: ld.global.u32 %r2, [%rd4]");
  expect_fault("setp.lt.u32 %p1, %r1, 40;\n@%p1 ret;\nbar.sync 0;", "will never open", 64);
  expect_fault("setp.lt.u32 %p1, %r1, 8;\n@%p1 bra $a;\nbar.sync 0;\nbra.uni $b;\n$a:\nbar.sync 0;\n$b:",
               "different barriers");
  expect_fault("shfl.sync.idx.b32 %r2|%p1, %r1, 9, 31, 255;", "its own mask leaves out");
  expect_fault("setp.ge.u32 %p1, %r1, 8;\n@%p1 ret;\nshfl.sync.idx.b32 %r2|%p1, %r1, 9, 31, 255;",
               "from lane 9, which takes no part");
  expect_fault("setp.lt.u32 %p1, %r1, 8;\n@%p1 bra $a;\nbar.warp.sync -1;\nbra.uni $b;\n$a:\nbar.sync 0;\n$b:",
               "never come");
  expect_fault("$a:\nbra.uni $a;", "does not end");
  expect_fault("", "is not allowed", 96);  // More than .maxntid.
  EXPECT_EQ(fault_of(""), "");
}

TEST(Ptx, RefusesWhatItDoesNotKnow) {
  expect_fault("wgmma.fence.sync.aligned;", "line 17: unknown instruction wgmma.fence.sync.aligned");
  expect_fault("add.s32.sat %r2, %r1, 1;", "unknown instruction add.s32.sat");
  expect_fault("add.s32 %r2, %r1, %r99;", "unknown register %r99");
  expect_fault("add.s32 %r2, %r1, %rd1;", "another width: %rd1");
  expect_fault("add.s32 %r2, %r1;", "takes 3 operands");
  expect_fault("bra $nowhere;", "unknown label $nowhere");
  expect_fault("mov.u32 %r2, nothing;", "unknown name nothing");
  expect_fault("bar.sync 1;", "a barrier other than 0");
  expect_fault("mov.u32 %r2, [%rd1];", "an address in the wrong place");
  expect_fault("ld.global.u64 %r2, [%rd2];", "too narrow");
  expect_fault(".local .align 4 .b8 depot[8];", "unknown directive \".local\"");
}
