/** The whole default model on the CUDA engine, behind a gateway, over a simulated device; and its
 * answer beside the CPU engine's. @module */
import { buildCudaEngineTests } from "../../tools/build_cuda_host.ts";
import { buildPtxDriver } from "../../tools/build_cuda_ptx.ts";
import { Served } from "../support/served.ts";

/** Host seconds go into each row: no step costs are measured within so short a context. */
const SMALL = ["--slots-max=2", "--rows-max=64", "--pages-max=64", "--context-max=40"];
const PROMPT = "red, green, blue, red, green,";

export interface Asked {
  backend: string;
  device: string;
  /** The answer, and how many of its tokens were drafted. */
  text: string;
  accepted: number;
  /** Whether it is the answer without speculation. */
  equal: boolean;
  /** What the CPU engine answers, and how many characters both begin with. */
  cpu_text: string;
  cpu_alike: number;
}

interface Answer {
  text: string;
  accepted: number;
}

/** Greedy, with a small tree or without one. */
async function ask(served: Served, tokensMax: number, mode: "fixed" | "off"): Promise<Answer> {
  const response = await served.post("/v1/completions", {
    model: served.model,
    prompt: PROMPT,
    max_tokens: tokensMax,
    temperature: 0,
    speculation: mode === "off" ? { mode } : { mode, beam_width: 2, beam_length: 3, packed_max: 4 },
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(`HTTP ${response.status}: ${answer.error.message}`);
  return {
    text: answer.choices[0].text,
    accepted: answer.usage.completion_tokens_details.accepted_prediction_tokens,
  };
}

async function askCpu(tokensMax: number): Promise<string> {
  await using served = await Served.startIn({}, "--backend=cpu", ...SMALL);
  return (await ask(served, tokensMax, "off")).text;
}

function alike(a: string, b: string): number {
  let count = 0;
  while (count < a.length && a[count] === b[count]) count++;
  return count;
}

/** Starts gateway and node, and asks once with speculation and once without.
 * @throws {Error} If the node does not start, or an answer does not come. */
export async function askSimulated(tokensMax: number): Promise<Asked> {
  const { library } = await buildCudaEngineTests();
  const { driver } = await buildPtxDriver();
  const env = { REDRAFT_CUDA_LIBRARY: library, REDRAFT_CUDA_DRIVER: driver };
  await using served = await Served.startIn(env, "--backend=cuda", ...SMALL);
  const on = await ask(served, tokensMax, "fixed");
  const off = await ask(served, tokensMax, "off");
  const ready = served.log.find((line) => line.includes('"event":"node.ready"')) ?? "{}";
  const { backend, device } = JSON.parse(ready);
  const cpu_text = await askCpu(tokensMax);
  const cpu_alike = alike(on.text, cpu_text);
  return { backend, device, ...on, equal: on.text === off.text, cpu_text, cpu_alike };
}
