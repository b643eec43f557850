/** One streamed chat answer from a gateway, read as any client would. @module */
import { Answer } from "../playground/src/trace.ts";

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface ChatAnswer {
  /** Its text, and of a gateway that tells it, how each token came. */
  trace: Answer;
  finishReason: string | null;
  tokenCount: number;
  /** Steps of the target model that they took. */
  stepCount: number;
  /** Draft tokens, and those of them that were accepted. */
  draftedCount: number;
  acceptedCount: number;
  /** From the first text to the last, the model's own pace. */
  generationMs: number;
  firstTokenMs: number;
  /** Of the gateway's memory: nothing was generated, so that it has no speed. */
  isHeld: boolean;
}

/** The gateway refused, or the stream broke; the message is the gateway's. */
export class ChatError extends Error {
  override readonly name = "ChatError";
}

/** Where the gateway is and what lets us in. */
export interface Target {
  url: string;
  key: string | undefined;
}

function headersOf({ key }: Target): Record<string, string> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}

async function refuse(response: Response): Promise<never> {
  const text = await response.text();
  let words = text;
  try {
    words = JSON.parse(text).error.message;
  } catch {
    // Not the gateway's own words, but a proxy's: shown as they are.
  }
  const hint = response.status === 401 ? " (REDRAFT_API_KEY holds the key)" : "";
  throw new ChatError(`HTTP ${response.status}: ${words}${hint}`);
}

/** @throws {ChatError} With the gateway's words, or that there is none. */
export async function getJson<T>(target: Target, path: string): Promise<T> {
  let response;
  try {
    response = await fetch(target.url + path, { headers: headersOf(target) });
  } catch (error) {
    throw new ChatError(
      `Cannot reach a gateway at ${target.url}: ${(error as Error).message}. ` +
        "Is one running? npx -y deno@2.9.6 task start",
    );
  }
  return response.ok ? await response.json() : await refuse(response);
}

/** Data fields of a server-sent event stream, until `[DONE]`. */
export async function* readEvents(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
  let pending = "";
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    const lines = (pending + piece).split(/\r?\n/);
    pending = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const text = line.slice(5).trim();
      if (text === "[DONE]") return;
      yield JSON.parse(text);
    }
  }
  throw new ChatError("The stream ended before it was done");
}

function emptyAnswer(): ChatAnswer {
  return {
    trace: new Answer(),
    finishReason: null,
    tokenCount: 0,
    stepCount: 0,
    draftedCount: 0,
    acceptedCount: 0,
    generationMs: 0,
    firstTokenMs: 0,
    isHeld: false,
  };
}

/** Another server than ours may say only how many drafts were accepted, or nothing. */
// deno-lint-ignore no-explicit-any
function takeUsage(answer: ChatAnswer, usage: any): void {
  const details = usage.completion_tokens_details;
  answer.tokenCount = usage.completion_tokens;
  answer.acceptedCount = details?.accepted_prediction_tokens ?? 0;
  answer.draftedCount = answer.acceptedCount + (details?.rejected_prediction_tokens ?? 0);
  answer.stepCount = usage.redraft?.steps ?? answer.tokenCount - answer.acceptedCount;
}

/** Sends `messages`; calls `onText` as the answer grows.
 * @throws {ChatError} With the gateway's words. */
export async function streamChat(
  target: Target,
  body: Record<string, unknown> & { messages: ChatMessage[] },
  onText: (trace: Answer) => void,
  signal: AbortSignal,
): Promise<ChatAnswer> {
  const startedAt = performance.now();
  const response = await fetch(`${target.url}/v1/chat/completions`, {
    method: "POST",
    headers: { ...headersOf(target), "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok || !response.body) return await refuse(response);
  const answer = emptyAnswer();
  answer.isHeld = response.headers.get("x-redraft-cache") === "HIT";
  let firstAt = 0;
  for await (const event of readEvents(response.body)) {
    if (event.error) throw new ChatError(event.error.message);
    const choice = event.choices?.[0];
    const piece = choice?.delta?.content ?? "";
    const { steps = [], tokens = [] } = choice?.redraft ?? {};
    answer.trace.push(piece, steps, tokens);
    if (piece !== "") {
      firstAt ||= performance.now();
      answer.generationMs = performance.now() - firstAt;
    }
    if (piece !== "" || steps.length > 0) onText(answer.trace);
    answer.finishReason = choice?.finish_reason ?? answer.finishReason;
    if (event.usage) takeUsage(answer, event.usage);
  }
  answer.firstTokenMs = firstAt ? firstAt - startedAt : 0;
  return answer;
}
