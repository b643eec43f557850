/** Answers of `/v1/chat/completions`, whole and in chunks. @module */
import type { AnswerHead, AnswerShape, ChunkWriter } from "./answer_shape.ts";
import {
  completionEnds,
  eventText,
  jsonLogprob,
  obfuscationJson,
  tokenString,
  traceJson,
  usageOf,
} from "./answer_shape.ts";
import type { LogprobEntry } from "./answer_text.ts";
import type { Piece } from "./generation.ts";
import type { ToolUse } from "./request_tools.ts";
import type { Run } from "./run.ts";
import type { ServedModel } from "./served_model.ts";
import {
  type AnswerEvent,
  scanAnswer,
  type ToolCall,
  ToolCallScanner,
} from "./tool_call_scanner.ts";

export const CHAT_SHAPE: AnswerShape = { chunks: chatChunks, whole: wholeChat };

/** Built from parts, for `JSON.stringify` of a whole chunk would cost several times as much. */
function chatChunks(run: Run, head: AnswerHead): ChunkWriter {
  const start = `{"id":"${head.id}","object":"chat.completion.chunk","created":${head.created},` +
    `"model":${JSON.stringify(run.model.card.id)},"system_fingerprint":"${fingerprint(run)}",` +
    `"choices":[`;
  const end = run.request.includeUsage ? `],"usage":null` : "]";
  const wantLogprobs = run.request.sampling.logprobs > 0;
  const scanners = scannersOf(run);
  /** @param more Of the piece that the delta comes from, once. */
  const chunk = (choice: number, delta: string, textLength: number, more = NOTHING_MORE): string =>
    eventText(
      `${start}{"index":${choice},"delta":${delta},"logprobs":${more.logprobs},` +
        `"finish_reason":null${more.trace}}${end}${obfuscationJson(run, textLength)}}`,
    );
  const moreOf = (piece: Piece) => ({
    logprobs: wantLogprobs ? logprobsJson(run.model, piece.entries) : "null",
    trace: traceJson(run.model, [piece]),
  });
  return {
    begin: (choice) => {
      const content = scanners === undefined ? `""` : "null";
      return chunk(choice, `{"role":"assistant","content":${content}}`, 0);
    },
    piece: (choice, piece) => {
      const scanner = scanners?.[choice];
      if (scanner === undefined) {
        const delta = `{"content":${JSON.stringify(piece.text)}}`;
        return chunk(choice, delta, piece.text.length, moreOf(piece));
      }
      let more = moreOf(piece);
      let text = "";
      for (const event of scanner.push(piece.text)) {
        text += chunk(choice, eventDelta(event), lengthOf(event), more);
        more = NOTHING_MORE;
      }
      const isBare = piece.entries.length === 0 && more.trace === "";
      return text !== "" || isBare ? text : chunk(choice, "{}", 0, more);
    },
    finish: (choice, reason) => {
      const events = scanners?.[choice]?.flush(reason === "length") ?? [];
      const rest = events.map((event) => chunk(choice, eventDelta(event), lengthOf(event)));
      const isCalled = (scanners?.[choice]?.calls.length ?? 0) > 0;
      return rest.join("") + eventText(
        `${start}{"index":${choice},"delta":{},"logprobs":null,` +
          `"finish_reason":"${finishReason(reason, isCalled)}"}${end}${obfuscationJson(run, 0)}}`,
      );
    },
    ...completionEnds(run, (usage) => `${start}],"usage":${JSON.stringify(usage)}}`),
  };
}

const NOTHING_MORE = { logprobs: "null", trace: "" };

/** One a choice, where tools may be called. */
export function scannersOf(run: Run): ToolCallScanner[] | undefined {
  const { tools } = run.request;
  return tools && run.choices.map(() => scannerOf(tools));
}

/** Of one answer. */
export function scannerOf({ tools, choice }: ToolUse): ToolCallScanner {
  return new ToolCallScanner(tools.map(({ name }) => name), { isForced: choice !== "auto" });
}

function eventDelta(event: AnswerEvent): string {
  switch (event.kind) {
    case "text":
      return `{"content":${JSON.stringify(event.text)}}`;
    case "call":
      return `{"tool_calls":[${callJson({ ...event, arguments: "" }, event.index)}]}`;
    case "arguments":
      return `{"tool_calls":[{"index":${event.index},` +
        `"function":{"arguments":${JSON.stringify(event.text)}}}]}`;
  }
}

function lengthOf(event: AnswerEvent): number {
  return event.kind === "call" ? event.name.length : event.text.length;
}

/** @param index Of a delta alone. */
function callJson({ id, name, arguments: text }: ToolCall, index?: number): string {
  const place = index === undefined ? {} : { index };
  return JSON.stringify({ ...place, id, type: "function", function: { name, arguments: text } });
}

/** An answer that was cut short says so, calls or not. */
export function finishReason(reason: "stop" | "length", isCalled: boolean): string {
  return reason === "stop" && isCalled ? "tool_calls" : reason;
}

function wholeChat(run: Run, head: AnswerHead): string {
  const { tools } = run.request;
  const choices = run.choices.map((choice) => {
    const { pieces, outcome } = choice.reader.generation;
    const ended = outcome?.kind === "finish" ? outcome.reason : undefined;
    const whole = textOf(pieces);
    const { text, calls } = tools === undefined
      ? { text: whole, calls: [] }
      : scanAnswer(whole, scannerOf(tools), ended === "length");
    const reason = ended === undefined ? "" : finishReason(ended, calls.length > 0);
    const logprobs = run.request.sampling.logprobs > 0
      ? logprobsJson(run.model, pieces.flatMap((piece) => piece.entries))
      : "null";
    const trace = traceJson(run.model, pieces);
    const content = text === "" && calls.length > 0 ? "null" : JSON.stringify(text);
    const made = calls.map((call) => callJson(call)).join(",");
    return `{"index":${choice.index},"message":{"role":"assistant","content":${content},` +
      `"refusal":null,"annotations":[]${made === "" ? "" : `,"tool_calls":[${made}]`}},` +
      `"logprobs":${logprobs},"finish_reason":"${reason}"${trace}}`;
  });
  return `{"id":"${head.id}","object":"chat.completion","created":${head.created},` +
    `"model":${JSON.stringify(run.model.card.id)},"system_fingerprint":"${fingerprint(run)}",` +
    `"choices":[${choices.join(",")}],"usage":${JSON.stringify(usageOf(run))}}`;
}

/** Changes when the model file does, which is what clients watch it for. */
export function fingerprint(run: Run): string {
  return `fp_${run.model.card.digest.slice(0, 12)}`;
}

export function textOf(pieces: readonly Piece[]): string {
  let text = "";
  for (const piece of pieces) text += piece.text;
  return text;
}

export function logprobsJson(model: ServedModel, entries: readonly LogprobEntry[]): string {
  return JSON.stringify({ content: logprobsOf(model, entries), refusal: null });
}

export function logprobsOf(model: ServedModel, entries: readonly LogprobEntry[]) {
  return entries.map((entry) => ({
    ...tokenJson(model, entry.token, entry.logprob),
    top_logprobs: entry.top.map(([token, logprob]) => tokenJson(model, token, logprob)),
  }));
}

function tokenJson(model: ServedModel, token: number, logprob: number) {
  return {
    token: tokenString(model, token),
    logprob: jsonLogprob(logprob),
    bytes: [...model.tokenBytes(token) ?? []],
  };
}
