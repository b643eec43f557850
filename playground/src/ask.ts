/** Asks the gateway, as any client would. @module */
import { Answer } from "./trace.ts";

export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Progress {
  answer: Answer;
  finishReason: string | undefined;
  firstTokenMs: number;
  /** From the first tokens to the latest. */
  generationMs: number;
  /** Tokens that came after the first: what `generationMs` was spent on. */
  laterCount: number;
  totalMs: number;
}

/** The gateway's refusal, in its words. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

/** Kept in this page alone: a reload forgets it. */
let key = "";

/** @returns Whether it can be a key at all: a header carries printable ASCII. */
export function useKey(text: string): boolean {
  const trimmed = text.trim();
  if (!/^[\x21-\x7e]*$/.test(trimmed)) return false;
  key = trimmed;
  return true;
}

function headers(): Record<string, string> {
  return key === "" ? {} : { authorization: `Bearer ${key}` };
}

/** @throws {Refusal} */
async function refuse(response: Response): Promise<never> {
  const text = await response.text();
  let words = text;
  try {
    words = JSON.parse(text).error.message;
  } catch {
    // A proxy's words: shown as they are.
  }
  throw new Refusal(words || `HTTP ${response.status}`, response.status);
}

/** @throws {Refusal} Where it cannot be reached, with status 0. */
async function send(path: string, init: RequestInit): Promise<Response> {
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Refusal("The gateway cannot be reached.", 0);
  }
  return response.ok ? response : await refuse(response);
}

export async function getJson<T>(path: string): Promise<T> {
  return await (await send(path, { headers: headers() })).json();
}

/** What is shown changes so often at most, and never so often that drawing takes more than a third
 * of the time: a node on the same machine needs it too. */
const SHOW_MS = 100;
const SHOW_SHARE = 1 / 3;

/** Calls `show` with the latest progress, at a bounded pace. */
function paced(show: (progress: Progress) => void) {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shownAt = -Infinity;
  let drawMs = 0;
  let latest: Progress | undefined;
  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    const startedAt = shownAt = performance.now();
    if (latest !== undefined) show(latest);
    latest = undefined;
    // Behind the next frame's own work.
    requestAnimationFrame(() => setTimeout(() => drawMs = performance.now() - startedAt));
  };
  const push = (progress: Progress) => {
    latest = progress;
    const waitMs = Math.max(SHOW_MS, drawMs / SHOW_SHARE);
    timer ??= setTimeout(flush, shownAt + waitMs - performance.now());
  };
  return { push, flush };
}

/** Streams one answer; `onProgress` is called as it grows. Never a held answer: what is shown is
 * what the model does now.
 * @throws {Refusal} Or an `AbortError`, when `signal` stops it. */
export async function ask(
  body: Record<string, unknown>,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<Progress> {
  const startedAt = performance.now();
  const response = await send("/v1/chat/completions", {
    method: "POST",
    headers: { ...headers(), "content-type": "application/json", "cache-control": "no-store" },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  const progress: Progress = {
    answer: new Answer(),
    finishReason: undefined,
    firstTokenMs: 0,
    generationMs: 0,
    laterCount: 0,
    totalMs: 0,
  };
  const shown = paced(onProgress);
  let firstCount = 0;
  try {
    for await (const events of eventsOf(response.body!)) {
      const now = performance.now() - startedAt;
      for (const event of events) take(progress, event);
      const { tokenCount } = progress.answer;
      if (tokenCount > 0 && firstCount === 0) {
        firstCount = tokenCount;
        progress.firstTokenMs = now;
      }
      progress.laterCount = tokenCount - firstCount;
      progress.generationMs = firstCount === 0 ? 0 : now - progress.firstTokenMs;
      progress.totalMs = now;
      shown.push(progress);
    }
  } finally {
    shown.flush();
  }
  return progress;
}

// deno-lint-ignore no-explicit-any
function take(progress: Progress, event: any): void {
  if (event.error) throw new Refusal(event.error.message, 200);
  const choice = event.choices?.[0];
  if (!choice) return;
  const { steps = [], tokens = [] } = choice.redraft ?? {};
  progress.answer.push(choice.delta?.content ?? "", steps, tokens);
  progress.finishReason = choice.finish_reason ?? progress.finishReason;
}

/** Events as they come together. */
async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown[]> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let pending = "";
  while (true) {
    const { done, value } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Refusal("The connection was lost.", 0);
    });
    if (done) throw new Refusal("The answer broke off.", 0);
    const lines = (pending + decoder.decode(value, { stream: true })).split("\n");
    pending = lines.pop()!;
    const texts = lines.filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
    const end = texts.indexOf("[DONE]");
    const whole = end < 0 ? texts : texts.slice(0, end);
    if (whole.length > 0) yield whole.map((text) => JSON.parse(text));
    if (end >= 0) return;
  }
}
