/** Kernels with one deliberate fault each: running them on the host must find it. @module */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { buildMutantTests } from "../../tools/build_cuda_host.ts";
import { runProcess } from "../../tools/process.ts";

interface Mutant {
  fault: string;
  source: string;
  /** Found once in the source. */
  sound: string;
  broken: string;
  /** Tests that run: those whose name contains this. */
  tests: string;
}

const MUTANTS: readonly Mutant[] = [
  {
    fault: "a missing barrier before weights are read",
    source: "kernels/tree_attention/tree_attention.cu",
    sound: "weigh(t, split, split == first_split);\n    __syncthreads();",
    broken: "weigh(t, split, split == first_split);",
    tests: "TreeAttentionCuda.AgreesWithTheReferenceOnTrees",
  },
  {
    fault: "a mask off by one",
    source: "kernels/tree_attention/tree_attention.cu",
    sound: "if (!(mask >> packed & 1)) continue;",
    broken: "if (packed > 0 && !(mask >> (packed - 1) & 1)) continue;",
    tests: "TreeAttentionCuda.AgreesWithTheReferenceOnTrees",
  },
  {
    fault: "a wrong page",
    source: "kernels/tree_attention/tree_attention.cu",
    sound: "t.p.pages[t.sequence.page_table + index]",
    broken: "t.sequence.page_table + index",
    tests: "TreeAttentionCuda.AgreesWithTheReferenceInTheContextPhase",
  },
  {
    fault: "an ancestor counted in every split",
    source: "kernels/tree_attention/tree_attention.cu",
    sound: "if (position / kSplitKeys == split) t.scores",
    broken: "if (position / kSplitKeys == split || t.query_count > 9) t.scores",
    tests: "TreeAttentionCuda.GivesAPacked",
  },
  {
    fault: "a missing barrier before partial sums are added",
    source: "kernels/common/packed_matrix.cu",
    sound: "  __syncthreads();\n",
    broken: "",
    tests: "MatmulCuda.Agrees",
  },
  {
    fault: "a row past the last",
    source: "kernels/common/packed_matrix.cu",
    sound: "write_sums(shared, p.y, p.y_stride, p.w.out_count, row_begin, row_count);",
    broken: "write_sums(shared, p.y, p.y_stride, p.w.out_count, row_begin, row_count + 1);",
    tests: "MatmulCuda.Agrees",
  },
  {
    fault: "inputs of weights that meet others of the rows",
    source: "kernels/common/dense_matrix.cu",
    sound: "mma_bf16(sums[tile], a[1], b[1]);",
    broken: "mma_bf16(sums[tile], a[1], b[0]);",
    tests: "MatmulBf16Cuda.Agrees",
  },
  {
    fault: "high bytes that weigh no more than low ones",
    source: "kernels/common/dense_matrix.cu",
    sound: "c[j] *= 128;",
    broken: "c[j] *= 64;",
    tests: "MatmulE4m3Cuda.Agrees",
  },
  {
    fault: "a commit that is not staged",
    source: "kernels/kv_cache/kv_cache.cu",
    sound: `    }
#pragma unroll
    for (uint32_t i = 0; i < kMovesMax; ++i) {
      if (i >= count) continue;
      const uint32_t position`,
    broken: "      const uint32_t position",
    tests: "KvCommitCuda",
  },
  {
    fault: "a walk that takes an uncle for a child",
    source: "kernels/validation/tree_walk.cu",
    sound: "slot.pending.parent[r] == at &&",
    broken: "slot.pending.parent[r] <= at &&",
    tests: "TreeWalkCuda",
  },
  {
    fault: "equals at the edge of top-k kept in no order",
    source: "kernels/validation/sampling.cu",
    sound: "key = 0xffffffffu - i;",
    broken: "key = i;",
    tests: "SamplingCuda.KeepsTheLowestOfEquals",
  },
  {
    fault: "a neighbour's grammar mask",
    source: "kernels/validation/sampling.cu",
    sound: "p.masks[row.mask_begin + i / 32]",
    broken: "p.masks[i / 32]",
    tests: "SamplingCuda.ObeysAGrammars",
  },
  {
    fault: "a tree that forgets the older of equals",
    source: "kernels/beam_search/beam_search.cu",
    sound: "&& j < threadIdx.x);",
    broken: "&& j > threadIdx.x);",
    tests: "BeamSearchCuda",
  },
  {
    fault: "logits read before all are written",
    source: "kernels/gru_draft/draft_rank.cu",
    sound: "  __syncthreads();\n  // A warp a row",
    broken: "  // A warp a row",
    tests: "DraftRankCuda",
  },
  {
    fault: "a draft with the noise of the place before",
    source: "kernels/gru_draft/draft_rank.cu",
    sound: "+ p.level : 0",
    broken: "+ p.level - 1 : 0",
    tests: "DraftRankCuda",
  },
];

const root = fileURLToPath(new URL("../../", import.meta.url));

Deno.test("deliberately broken kernels are caught", async (t) => {
  const texts = MUTANTS.map(({ source, sound, broken }) => {
    const text = Deno.readTextFileSync(`${root}${source}`);
    assert.equal(text.split(sound).length, 2, `"${sound}" is not once in ${source}`);
    return { source, text: text.replace(sound, broken) };
  });
  const binaries = await buildMutantTests(texts);
  for (const [index, { fault, tests }] of MUTANTS.entries()) {
    await t.step(fault, async () => {
      const { code, stdout, stderr } = await runProcess(binaries[index], [tests]);
      assert.equal(code, 1, `${fault} was not caught:\n${stdout}${stderr}`);
    });
  }
});
