import assert from "node:assert/strict";
import { ABI, STATUS_NAMES } from "../../gpu-node/abi.ts";

const HEADER = new URL("../../kernels/include/redraft.h", import.meta.url);

Deno.test("abi.ts says what redraft.h says", async () => {
  const header = await Deno.readTextFile(HEADER);
  const defined = (name: string) => {
    const value = new RegExp(`#define REDRAFT_${name}[\\s\\\\]+(0x[0-9a-f]+|\\d+)u`).exec(header)
      ?.[1];
    assert(value !== undefined, `redraft.h defines REDRAFT_${name}`);
    return Number(value);
  };
  const pairs: [string, number][] = [
    ["ABI_VERSION", ABI.version],
    ["PAGE_TOKENS", ABI.pageTokens],
    ["TREE_TOKENS_MAX", ABI.treeTokensMax],
    ["BEAM_WIDTH_MAX", ABI.beamWidthMax],
    ["BEAM_LENGTH_MAX", ABI.beamLengthMax],
    ["LOGPROBS_MAX", ABI.logprobsMax],
    ["BIAS_MAX", ABI.biasMax],
    ["PLAN_HEADER_WORDS", ABI.planHeaderWords],
    ["RESULT_HEADER_WORDS", ABI.resultHeaderWords],
    ["PLAN_MAGIC", ABI.planMagic],
    ["RESULT_MAGIC", ABI.resultMagic],
    ["PLAN_RESET", ABI.planReset],
    ["PLAN_SAMPLE", ABI.planSample],
    ["PLAN_TREE", ABI.planTree],
    ["PLAN_MASK", ABI.planMask],
  ];
  for (const [name, value] of pairs) assert.equal(defined(name), value, name);
  STATUS_NAMES.forEach((name, status) => {
    assert.match(header, new RegExp(`REDRAFT_${name.toUpperCase()} = ${status},`));
  });
});
