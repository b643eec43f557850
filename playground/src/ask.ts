/** Asks the gateway, as any client would. @module */
import { Answer } from "./trace.ts";

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Progress {
  answer: Answer;
  /** From the first text to the latest. */
  generationMs: number;
  totalMs: number;
}

/** Kept in this page alone: a reload forgets it. */
let key = "";

export function useKey(text: string): void {
  key = text.trim();
}

function headers(): Record<string, string> {
  return key === "" ? {} : { authorization: `Bearer ${key}` };
}

/** @throws {Error} In the gateway's words. */
async function refuse(response: Response): Promise<never> {
  const text = await response.text();
  let words = text;
  try {
    words = JSON.parse(text).error.message;
  } catch {
    // A proxy's words: shown as they are.
  }
  throw new Error(`${response.status}: ${words}`);
}

export async function getJson<T>(path: string): Promise<T> {
  const response = await fetch(path, { headers: headers() });
  if (!response.ok) await refuse(response);
  return await response.json();
}

/** Streams one answer; `onProgress` is called as it grows. Never a held answer: what is shown is
 * what the model does now.
 * @throws {Error} In the gateway's words, or as an `AbortError`. */
export async function ask(
  body: Record<string, unknown>,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Progress> {
  const startedAt = performance.now();
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { ...headers(), "content-type": "application/json", "cache-control": "no-store" },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  if (!response.ok || response.body === null) return await refuse(response);
  const progress: Progress = { answer: new Answer(), generationMs: 0, totalMs: 0 };
  let firstAt = 0;
  for await (const event of events(response.body)) {
    if (event.error) throw new Error(event.error.message);
    const choice = event.choices?.[0];
    if (!choice) continue;
    const { steps = [], tokens = [] } = choice.redraft ?? {};
    const now = performance.now();
    if (tokens.length > 0) firstAt ||= now;
    progress.answer.push(choice.delta?.content ?? "", steps, tokens);
    progress.generationMs = firstAt === 0 ? 0 : now - firstAt;
    progress.totalMs = now - startedAt;
    onProgress(progress);
  }
  return progress;
}

// deno-lint-ignore no-explicit-any
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<any> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let pending = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The answer broke off.");
    const lines = (pending + decoder.decode(value, { stream: true })).split("\n");
    pending = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      if (line === "data: [DONE]") return;
      yield JSON.parse(line.slice("data: ".length));
    }
  }
}
