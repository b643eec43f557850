/** One streamed chat answer from a gateway, read as any client would. @module */

export interface ChatMessage {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface ChatAnswer {
  text: string;
  finishReason: string | null;
  tokenCount: number;
  /** Steps of the target model that they took. */
  stepCount: number;
  /** From the first text to the last, the model's own pace. */
  generationMs: number;
  firstTokenMs: number;
}

/** The gateway refused, or the stream broke; the message is the gateway's. */
export class ChatError extends Error {
  override readonly name = "ChatError";
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

/** Sends `messages`; calls `onText` with each piece as it comes.
 * @throws {ChatError} With the gateway's words. */
export async function streamChat(
  url: string,
  body: Record<string, unknown> & { messages: ChatMessage[] },
  onText: (text: string) => void,
  signal: AbortSignal,
): Promise<ChatAnswer> {
  const startedAt = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok || !response.body) {
    const text = await response.text();
    let words = text;
    try {
      words = JSON.parse(text).error.message;
    } catch {
      // Not the gateway's own words, but a proxy's: shown as they are.
    }
    throw new ChatError(`HTTP ${response.status}: ${words}`);
  }
  const answer: ChatAnswer = {
    text: "",
    finishReason: null,
    tokenCount: 0,
    stepCount: 0,
    generationMs: 0,
    firstTokenMs: 0,
  };
  let firstAt = 0;
  for await (const event of readEvents(response.body)) {
    if (event.error) throw new ChatError(event.error.message);
    const choice = event.choices?.[0];
    const piece = choice?.delta?.content;
    if (piece) {
      firstAt ||= performance.now();
      answer.generationMs = performance.now() - firstAt;
      answer.text += piece;
      onText(piece);
    }
    answer.finishReason = choice?.finish_reason ?? answer.finishReason;
    if (event.usage) {
      answer.tokenCount = event.usage.completion_tokens;
      // Another server than ours may say only how many drafts were accepted, or nothing.
      const accepted = event.usage.completion_tokens_details?.accepted_prediction_tokens ?? 0;
      answer.stepCount = event.usage.redraft?.steps ?? answer.tokenCount - accepted;
    }
  }
  answer.firstTokenMs = firstAt ? firstAt - startedAt : 0;
  return answer;
}
