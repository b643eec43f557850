/** Formats and tools through the helpers of one official JavaScript client; prints as JSON what it
 * got whole and streamed. Run as `javascript_clients.ts` is. @module */
// deno-lint-ignore-file no-import-prefix
import assert from "node:assert/strict";
import { HumanMessage, ToolMessage } from "npm:@langchain/core@1.2.13/messages";
import { tool as langchainTool } from "npm:@langchain/core@1.2.13/tools";
import OpenAI from "npm:openai@7.57.0";
import {
  zodFunction,
  zodResponseFormat,
  zodResponsesFunction,
  zodTextFormat,
} from "npm:openai@7.57.0/helpers/zod";
import { createOpenAICompatible } from "npm:@ai-sdk/openai-compatible@3.0.92";
import { generateText, Output, streamText, tool } from "npm:ai@7.0.173";
import { ChatOpenAI } from "npm:@langchain/openai@1.6.0";
import { z } from "npm:zod@4.6.7";

const QUESTION = "What is the weather in Paris, in Celsius?";
const TOKENS_MAX = 200;
const PLACE = z.object({
  city: z.enum(["Paris", "Rome", "Oslo"]),
  unit: z.enum(["celsius", "fahrenheit"]),
  days: z.number().int().min(1).max(14),
  start: z.iso.date(),
});
const SUNNY = "Sunny, 21 degrees.";

type Answers = [whole: unknown, streamed: unknown];

/** `parse()` and `stream()` read the answer by its schema, or throw. */
async function openaiFormat(url: string, model: string): Promise<Answers> {
  const client = new OpenAI({ baseURL: url, apiKey: "none" });
  const request = {
    model,
    messages: [{ role: "user" as const, content: QUESTION }],
    response_format: zodResponseFormat(PLACE, "place"),
    temperature: 0,
    max_tokens: TOKENS_MAX,
  };
  const whole = await client.chat.completions.parse(request);
  const stream = client.chat.completions.stream(request);
  const streamed = await stream.finalChatCompletion();
  const input = { model, input: QUESTION, temperature: 0, max_output_tokens: TOKENS_MAX };
  const text = { format: zodTextFormat(PLACE, "place") };
  const response = await client.responses.parse({ ...input, text });
  assert.deepEqual(response.output_parsed, whole.choices[0].message.parsed);
  return [whole.choices[0].message.parsed, streamed.choices[0].message.parsed];
}

async function openaiTools(url: string, model: string): Promise<Answers> {
  const client = new OpenAI({ baseURL: url, apiKey: "none" });
  const messages = [{ role: "user" as const, content: QUESTION }];
  const weather = zodFunction({ name: "weather", parameters: PLACE });
  const common = { model, messages, temperature: 0, max_tokens: TOKENS_MAX };
  const request = { ...common, tools: [weather], parallel_tool_calls: false };
  const forced = { ...request, tool_choice: "required" as const };
  const whole = await client.chat.completions.parse(forced);
  assert.equal(whole.choices[0].finish_reason, "tool_calls");
  const stream = client.chat.completions.stream(forced);
  const done: unknown[] = [];
  stream.on("tool_calls.function.arguments.done", (call) => done.push(call.parsed_arguments));
  const streamed = await stream.finalChatCompletion();
  const callsOf = (answer: typeof whole) =>
    answer.choices[0].message.tool_calls!.map((call) => {
      assert(call.type === "function");
      return call.function.parsed_arguments;
    });
  assert.deepEqual(done, callsOf(streamed));
  // The whole round: call, result, answer. A named choice ends it after the call.
  const seen: unknown[] = [];
  const runner = client.chat.completions.runTools({
    ...common,
    tools: [{
      type: "function",
      function: {
        name: "weather",
        description: "Weather of a city.",
        // deno-lint-ignore no-explicit-any
        parameters: z.toJSONSchema(PLACE) as any,
        parse: JSON.parse,
        function: (place: unknown) => (seen.push(place), SUNNY),
      },
    }],
    tool_choice: { type: "function", function: { name: "weather" } },
  });
  await runner.done();
  assert.equal(PLACE.safeParse(seen[0]).success, true);
  const [message] = whole.choices;
  const next = await client.chat.completions.create({
    ...common,
    messages: [
      ...messages,
      message.message,
      { role: "tool", tool_call_id: message.message.tool_calls![0].id, content: SUNNY },
    ],
  });
  assert.ok(next.choices[0].message.content);
  return [callsOf(whole), callsOf(streamed)];
}

async function openaiResponsesTools(url: string, model: string): Promise<Answers> {
  const client = new OpenAI({ baseURL: url, apiKey: "none" });
  const tools = [zodResponsesFunction({ name: "weather", parameters: PLACE })];
  const input = [{ role: "user" as const, content: QUESTION }];
  const common = { model, temperature: 0, max_output_tokens: TOKENS_MAX, tools };
  const request = {
    ...common,
    input,
    tool_choice: "required" as const,
    parallel_tool_calls: false,
  };
  const whole = await client.responses.parse(request);
  const stream = client.responses.stream(request);
  let deltas = "";
  stream.on("response.function_call_arguments.delta", ({ delta }) => deltas += delta);
  const streamed = await stream.finalResponse();
  // deno-lint-ignore no-explicit-any
  const callsOf = (answer: any) => answer.output.map((item: any) => item.parsed_arguments);
  assert.deepEqual([JSON.parse(deltas)], callsOf(streamed));
  const [call] = whole.output;
  assert.ok(call.type === "function_call");
  const result = { type: "function_call_output" as const, call_id: call.call_id, output: SUNNY };
  const next = await client.responses.create({ ...common, input: [...input, call, result] });
  assert.equal(next.status === "failed", false);
  return [callsOf(whole), callsOf(streamed)];
}

async function aiSdkTools(url: string, model: string): Promise<Answers> {
  const provider = createOpenAICompatible({
    name: "redraft",
    baseURL: url,
    supportsStructuredOutputs: true,
  });
  const common = {
    model: provider(model),
    prompt: QUESTION,
    temperature: 0,
    maxOutputTokens: TOKENS_MAX,
  };
  const output = Output.object({ schema: PLACE });
  const place = await generateText({ ...common, output });
  assert.deepEqual(await streamText({ ...common, output }).output, place.output);
  const weather = tool({ inputSchema: PLACE, execute: () => SUNNY });
  const request = { ...common, tools: { weather }, toolChoice: "required" as const };
  const whole = await generateText(request);
  assert.equal(whole.finishReason, "tool-calls");
  assert.equal(whole.toolResults[0].output, SUNNY);
  const streamed = await streamText(request).toolCalls;
  return [whole.toolCalls.map((call) => call.input), streamed.map((call) => call.input)];
}

async function langchainTools(url: string, model: string): Promise<Answers> {
  const chat = new ChatOpenAI({
    model,
    apiKey: "none",
    temperature: 0,
    maxTokens: TOKENS_MAX,
    configuration: { baseURL: url },
  });
  const place = await chat.withStructuredOutput(PLACE, { method: "jsonSchema" }).invoke(QUESTION);
  assert.equal(PLACE.safeParse(place).success, true);
  const weather = langchainTool(() => SUNNY, { name: "weather", schema: PLACE });
  const bound = chat.bindTools([weather], { tool_choice: "weather" });
  const whole = await bound.invoke(QUESTION);
  let streamed;
  for await (const chunk of await bound.stream(QUESTION)) {
    streamed = streamed === undefined ? chunk : streamed.concat(chunk);
  }
  const [call] = whole.tool_calls!;
  const result = new ToolMessage({ content: SUNNY, tool_call_id: call.id! });
  await chat.invoke([new HumanMessage(QUESTION), whole, result]);
  return [whole.tool_calls!.map(({ args }) => args), streamed!.tool_calls!.map(({ args }) => args)];
}

const CLIENTS: Record<string, (url: string, model: string) => Promise<Answers>> = {
  "openai-format": openaiFormat,
  "openai-tools": openaiTools,
  "openai-responses-tools": openaiResponsesTools,
  "ai-sdk-tools": aiSdkTools,
  "langchain-tools": langchainTools,
};

const [client, url, model] = Deno.args;
console.log(JSON.stringify(await CLIENTS[client](url, model)));
