/** The clients that are run, unmodified, against a running gateway: each in a process of its own,
 * as its users have it. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Progress } from "../../tools/progress.ts";
import { runOrThrow } from "../../tools/process.ts";
import { ensurePackages, findPython } from "../../tools/python_packages.ts";
import { writeTokenizer } from "./tokenizer_folder.ts";

/** Where a gateway listens, `/v1` included, and the model that it serves. */
export interface Target {
  url: string;
  model: string;
}

export interface Client {
  /** As packages are named. */
  name: string;
  language: "JavaScript" | "Python";
  /** What of the API it goes through. */
  does: string;
  /** What was answered, shown in the table. Throws where an answer is not as it should be. */
  run(target: Target): Promise<string>;
}

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Prints `[whole, streamed]`, which must be equal. */
function readAnswers(stdout: string): string {
  const [whole, streamed] = JSON.parse(stdout.trim().split("\n").at(-1)!);
  assert.deepEqual(streamed, whole, "the stream's answer is the whole one");
  const text = typeof whole === "string" ? whole : JSON.stringify(whole);
  assert.ok(text.length > 10, text);
  return text;
}

function javascript(name: string, does: string, file: string, part: string): Client {
  const run = async ({ url, model }: Target) => {
    const args = ["run", "-A", "--no-lock", "--no-config", script(file), part, url, model];
    return readAnswers((await runOrThrow(Deno.execPath(), args)).stdout);
  };
  return { name, language: "JavaScript", does, run };
}

/** Each in a folder of its own: LangChain wants an older openai than the newest. */
const REQUIREMENTS = {
  openai: "openai==3.54.0",
  langchain: "langchain-openai==1.7.3",
  llm: "llm==0.36",
  aiperf: "aiperf==0.13.0",
};
type Library = keyof typeof REQUIREMENTS;

async function pythonPath(library: Library): Promise<string> {
  const progress = new Progress(`Python client ${library}`);
  return await ensurePackages(`client-${library}`, [REQUIREMENTS[library]], { progress });
}

function python(does: string, library: Library, file: string, part: string): Client {
  const run = async ({ url, model }: Target) => {
    const PYTHONPATH = await pythonPath(library);
    const args = [script(file), part, url, model];
    return readAnswers(
      (await runOrThrow(await findPython(), args, { env: { PYTHONPATH } })).stdout,
    );
  };
  return { name: REQUIREMENTS[library], language: "Python", does, run };
}

const LLM_CONFIG = "extra-openai-models.yaml";

/** The command `llm`, with the model in the file that it reads for servers like this one. */
async function llm({ url, model }: Target): Promise<string> {
  const PYTHONPATH = await pythonPath("llm");
  const home = await Deno.makeTempDir({ prefix: "redraft-llm-" });
  try {
    const fields = { model_id: "redraft", model_name: model, api_base: url, supports_schema: true };
    await Deno.writeTextFile(join(home, LLM_CONFIG), JSON.stringify([fields]));
    const env = { PYTHONPATH, LLM_USER_PATH: home, OPENAI_API_KEY: "none" };
    const ask = async (...args: string[]) => {
      const common = ["-m", "llm", "-m", "redraft", "-o", "temperature", "0"];
      const options = [...common, "-o", "max_tokens", "64", ...args];
      return (await runOrThrow(await findPython(), options, { env })).stdout.trim();
    };
    const question = "Write one sentence about the sea.";
    const place = await ask("--schema", "city, days int", "The weather in Paris.");
    assert.deepEqual(Object.keys(JSON.parse(place)), ["city", "days"]);
    const streamed = await ask(question);
    return readAnswers(JSON.stringify([await ask("--no-stream", question), streamed]));
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

/** NVIDIA's load tool: its own report says that every request was answered. */
async function aiperf({ url, model }: Target): Promise<string> {
  const PYTHONPATH = await pythonPath("aiperf");
  const folder = await Deno.makeTempDir({ prefix: "redraft-aiperf-" });
  try {
    const args = ["-m", "aiperf", "profile", "--model", model, "--url", new URL(url).origin];
    await writeTokenizer(join(folder, "tokenizer"));
    args.push("--endpoint-type", "chat", "--streaming", "--tokenizer", join(folder, "tokenizer"));
    args.push("--request-count", "12", "--concurrency", "2", "--output-tokens-mean", "24");
    args.push("--synthetic-input-tokens-mean", "64", "--output-artifact-dir", folder);
    args.push("--ui", "none");
    // Its libraries keep caches in the home folder.
    const env = { PYTHONPATH, HOME: folder };
    await runOrThrow(await findPython(), args, { env });
    const report = JSON.parse(await Deno.readTextFile(join(folder, "profile_export_aiperf.json")));
    assert.equal(report.request_count.avg, 12, "requests answered");
    assert.ok(!report.error_request_count?.avg, "requests failed");
    return `12 streams, first token after ${Math.round(report.time_to_first_token.p50)} ms`;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const TEXT = "chat, whole and streamed";
const JS = "javascript_clients.ts";
const JS_TOOLS = "javascript_tools.ts";
const PY = "python_clients.py";
const PY_TOOLS = "python_tools.py";

export const CLIENTS: readonly Client[] = [
  javascript("openai@7.57.0", `${TEXT}; models; errors`, JS, "openai"),
  javascript("openai@7.57.0", "responses, whole and events", JS, "openai-responses"),
  javascript("openai@7.57.0", "parse() and stream() by a schema", JS_TOOLS, "openai-format"),
  javascript("openai@7.57.0", "tools: parse(), stream(), runTools()", JS_TOOLS, "openai-tools"),
  javascript("openai@7.57.0", "tools on responses", JS_TOOLS, "openai-responses-tools"),
  javascript("@ai-sdk/openai-compatible@3.0.92", TEXT, JS, "ai-sdk"),
  javascript("@ai-sdk/openai-compatible@3.0.92", "schemas and tools", JS_TOOLS, "ai-sdk-tools"),
  javascript("@langchain/openai@1.6.0", TEXT, JS, "langchain"),
  javascript("@langchain/openai@1.6.0", "schemas and tools", JS_TOOLS, "langchain-tools"),
  python(`${TEXT}; models; errors`, "openai", PY, "openai"),
  python("responses, whole and events", "openai", PY, "openai-responses"),
  python("parse() and stream() by a schema", "openai", PY_TOOLS, "openai-format"),
  python("tools: parse(), stream()", "openai", PY_TOOLS, "openai-tools"),
  python(TEXT, "langchain", PY, "langchain"),
  python("schemas and tools", "langchain", PY_TOOLS, "langchain-tools"),
  { name: REQUIREMENTS.llm, language: "Python", does: `command: ${TEXT}; a schema`, run: llm },
];

/** Too large to be fetched by every test run: its packages have a gigabyte. */
export const LARGE_CLIENTS: readonly Client[] = [
  { name: REQUIREMENTS.aiperf, language: "Python", does: "command: 12 chat streams", run: aiperf },
];
