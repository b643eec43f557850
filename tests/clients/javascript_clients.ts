/** One official JavaScript client against a running gateway; prints its answers as JSON. Run by
 * `javascript_test.ts`, without the lock file: who serves should not have to fetch these packages.
 * @module */
// deno-lint-ignore-file no-import-prefix
import assert from "node:assert/strict";
import OpenAI, { BadRequestError } from "npm:openai@7.57.0";
import { createOpenAICompatible } from "npm:@ai-sdk/openai-compatible@3.0.92";
import { generateText, streamText } from "npm:ai@7.0.173";
import { ChatOpenAI } from "npm:@langchain/openai@1.6.0";

const QUESTION = "Write one sentence about the sea.";
const TOKENS_MAX = 24;

type Answers = [whole: string, streamed: string];

async function openaiAnswers(url: string, model: string): Promise<Answers> {
  const client = new OpenAI({ baseURL: url, apiKey: "none" });
  const request = {
    model,
    messages: [{ role: "user" as const, content: QUESTION }],
    temperature: 0,
    max_tokens: TOKENS_MAX,
  };
  const whole = await client.chat.completions.create(request);
  assert.ok(whole.usage!.completion_tokens > 0);
  const stream = await client.chat.completions.create({ ...request, stream: true });
  let streamed = "";
  for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? "";
  const models = await client.models.list();
  assert.ok(models.data.some((listed) => listed.id === model));
  await assert.rejects(
    client.chat.completions.create({ ...request, temperature: 9 }),
    (error) => error instanceof BadRequestError && error.param === "temperature",
  );
  return [whole.choices[0].message.content!, streamed];
}

async function openaiResponses(url: string, model: string): Promise<Answers> {
  const client = new OpenAI({ baseURL: url, apiKey: "none" });
  const request = { model, input: QUESTION, temperature: 0, max_output_tokens: TOKENS_MAX };
  const whole = await client.responses.create(request);
  assert.ok(whole.usage!.output_tokens > 0);
  // The helper puts the answer together from the events, and checks them as it does.
  const stream = client.responses.stream(request);
  const types = new Set<string>();
  stream.on("event", (event) => types.add(event.type));
  const final = await stream.finalResponse();
  assert.ok(types.has("response.output_text.delta"));
  await assert.rejects(
    client.responses.create({ ...request, previous_response_id: "resp_1" }),
    (error) => error instanceof BadRequestError && error.param === "previous_response_id",
  );
  return [whole.output_text, final.output_text];
}

async function aiSdkAnswers(url: string, model: string): Promise<Answers> {
  const provider = createOpenAICompatible({ name: "redraft", baseURL: url, includeUsage: true });
  const request = {
    model: provider(model),
    prompt: QUESTION,
    temperature: 0,
    maxOutputTokens: TOKENS_MAX,
  };
  const whole = await generateText(request);
  assert.ok(whole.usage.outputTokens! > 0);
  let streamed = "";
  for await (const piece of streamText(request).textStream) streamed += piece;
  return [whole.text, streamed];
}

async function langchainAnswers(url: string, model: string): Promise<Answers> {
  const chat = new ChatOpenAI({
    model,
    apiKey: "none",
    temperature: 0,
    maxTokens: TOKENS_MAX,
    configuration: { baseURL: url },
  });
  const whole = await chat.invoke(QUESTION);
  assert.ok(whole.usage_metadata!.output_tokens > 0);
  let streamed = "";
  for await (const chunk of await chat.stream(QUESTION)) streamed += chunk.text;
  return [whole.text, streamed];
}

const CLIENTS: Record<string, (url: string, model: string) => Promise<Answers>> = {
  openai: openaiAnswers,
  "openai-responses": openaiResponses,
  "ai-sdk": aiSdkAnswers,
  langchain: langchainAnswers,
};

const [client, url, model] = Deno.args;
console.log(JSON.stringify(await CLIENTS[client](url, model)));
