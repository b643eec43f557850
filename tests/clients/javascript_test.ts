/** Official JavaScript clients against a running gateway, streamed and not. @module */
// The packages are named here, not in deno.json: nobody who serves should have to fetch them.
// deno-lint-ignore-file no-import-prefix
import assert from "node:assert/strict";
import OpenAI, { BadRequestError } from "npm:openai@7.57.0";
import { createOpenAICompatible } from "npm:@ai-sdk/openai-compatible@3.0.92";
import { generateText, streamText } from "npm:ai@7.0.173";
import { ChatOpenAI } from "npm:@langchain/openai@1.6.0";
import { Served } from "../support/served.ts";

const QUESTION = "Write one sentence about the sea.";
const MESSAGES = [{ role: "user" as const, content: QUESTION }];
const TOKENS_MAX = 24;

async function openaiAnswers(served: Served): Promise<[whole: string, streamed: string]> {
  const client = new OpenAI({ baseURL: `${served.url}/v1`, apiKey: "none" });
  const request = {
    model: served.model,
    messages: MESSAGES,
    temperature: 0,
    max_tokens: TOKENS_MAX,
  };
  const whole = await client.chat.completions.create(request);
  assert.ok(whole.usage!.completion_tokens > 0);
  const stream = await client.chat.completions.create({ ...request, stream: true });
  let streamed = "";
  for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? "";
  const models = await client.models.list();
  assert.ok(models.data.some((model) => model.id === served.model));
  await assert.rejects(
    client.chat.completions.create({ ...request, temperature: 9 }),
    (error) => error instanceof BadRequestError && error.param === "temperature",
  );
  return [whole.choices[0].message.content!, streamed];
}

async function aiSdkAnswers(served: Served): Promise<[whole: string, streamed: string]> {
  const provider = createOpenAICompatible({
    name: "redraft",
    baseURL: `${served.url}/v1`,
    includeUsage: true,
  });
  const request = {
    model: provider(served.model),
    prompt: QUESTION,
    temperature: 0,
    maxOutputTokens: TOKENS_MAX,
  };
  const whole = await generateText(request);
  assert.ok(whole.usage.outputTokens! > 0);
  const result = streamText(request);
  let streamed = "";
  for await (const piece of result.textStream) streamed += piece;
  return [whole.text, streamed];
}

async function langchainAnswers(served: Served): Promise<[whole: string, streamed: string]> {
  const model = new ChatOpenAI({
    model: served.model,
    apiKey: "none",
    temperature: 0,
    maxTokens: TOKENS_MAX,
    configuration: { baseURL: `${served.url}/v1` },
  });
  const whole = await model.invoke(QUESTION);
  assert.ok(whole.usage_metadata!.output_tokens > 0);
  let streamed = "";
  for await (const chunk of await model.stream(QUESTION)) streamed += chunk.text;
  return [whole.text, streamed];
}

// Clients keep sockets and timers of their own past an answer, which is theirs to do.
Deno.test({
  name: "JavaScript clients get a chat answer, streamed and not",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    await using served = await Served.start();
    const clients = { openai: openaiAnswers, "ai-sdk": aiSdkAnswers, langchain: langchainAnswers };
    const seen = new Set<string>();
    for (const [name, answers] of Object.entries(clients)) {
      await t.step(name, async () => {
        const [whole, streamed] = await answers(served);
        assert.ok(whole.length > 10, whole);
        assert.equal(streamed, whole);
        seen.add(whole);
      });
    }
    assert.equal(seen.size, 1, "clients got different answers to the same greedy question");
  },
});
