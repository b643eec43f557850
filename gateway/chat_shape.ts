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
import type { Run } from "./run.ts";
import type { ServedModel } from "./served_model.ts";

export const CHAT_SHAPE: AnswerShape = { chunks: chatChunks, whole: wholeChat };

/** Built from parts, for `JSON.stringify` of a whole chunk would cost several times as much. */
function chatChunks(run: Run, head: AnswerHead): ChunkWriter {
  const start = `{"id":"${head.id}","object":"chat.completion.chunk","created":${head.created},` +
    `"model":${JSON.stringify(run.model.card.id)},"system_fingerprint":"${fingerprint(run)}",` +
    `"choices":[`;
  const end = run.request.includeUsage ? `],"usage":null` : "]";
  const wantLogprobs = run.request.sampling.logprobs > 0;
  return {
    begin: (choice) =>
      eventText(
        `${start}{"index":${choice},"delta":{"role":"assistant","content":""},"logprobs":null,` +
          `"finish_reason":null}${end}${obfuscationJson(run, 0)}}`,
      ),
    piece: (choice, piece) =>
      eventText(
        `${start}{"index":${choice},"delta":{"content":${JSON.stringify(piece.text)}},"logprobs":${
          wantLogprobs ? logprobsJson(run.model, piece.entries) : "null"
        },"finish_reason":null${traceJson(run.model, [piece])}}${end}${
          obfuscationJson(run, piece.text.length)
        }}`,
      ),
    finish: (choice, reason) =>
      eventText(
        `${start}{"index":${choice},"delta":{},"logprobs":null,"finish_reason":"${reason}"}${end}` +
          `${obfuscationJson(run, 0)}}`,
      ),
    ...completionEnds(run, (usage) => `${start}],"usage":${JSON.stringify(usage)}}`),
  };
}

function wholeChat(run: Run, head: AnswerHead): string {
  const choices = run.choices.map((choice) => {
    const { pieces, outcome } = choice.reader.generation;
    const reason = outcome?.kind === "finish" ? outcome.reason : null;
    const text = textOf(pieces);
    const logprobs = run.request.sampling.logprobs > 0
      ? logprobsJson(run.model, pieces.flatMap((piece) => piece.entries))
      : "null";
    const trace = traceJson(run.model, pieces);
    return `{"index":${choice.index},"message":{"role":"assistant","content":${
      JSON.stringify(text)
    },"refusal":null,"annotations":[]},"logprobs":${logprobs},"finish_reason":"${reason}"${trace}}`;
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
