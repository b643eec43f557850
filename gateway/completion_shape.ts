/** Answers of `/v1/completions`, whole and in chunks: both of the same shape. @module */
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
import { fingerprint, textOf } from "./chat_shape.ts";
import type { Run } from "./run.ts";

export const COMPLETION_SHAPE: AnswerShape = { chunks: completionChunks, whole: wholeCompletion };

function completionChunks(run: Run, head: AnswerHead): ChunkWriter {
  const start = `${headJson(run, head)}"choices":[`;
  const end = run.request.includeUsage ? `],"usage":null` : "]";
  const wantLogprobs = run.request.sampling.logprobs > 0;
  return {
    begin: (choice) => {
      const echo = echoOf(run, choice);
      if (echo === "") return "";
      return eventText(
        `${start}{"index":${choice},"text":${JSON.stringify(echo)},"logprobs":null,` +
          `"finish_reason":null}${end}${obfuscationJson(run, echo.length)}}`,
      );
    },
    piece: (choice, piece) =>
      eventText(
        `${start}{"index":${choice},"text":${JSON.stringify(piece.text)},"logprobs":${
          wantLogprobs ? logprobsJson(run, piece.entries) : "null"
        },"finish_reason":null${traceJson(run.model, [piece])}}${end}${
          obfuscationJson(run, piece.text.length)
        }}`,
      ),
    finish: (choice, reason) =>
      eventText(
        `${start}{"index":${choice},"text":"","logprobs":null,"finish_reason":"${reason}"}${end}` +
          `${obfuscationJson(run, 0)}}`,
      ),
    ...completionEnds(run, (usage) => `${start}],"usage":${JSON.stringify(usage)}}`),
  };
}

function wholeCompletion(run: Run, head: AnswerHead): string {
  const choices = run.choices.map((choice) => {
    const { pieces, outcome } = choice.reader.generation;
    const reason = outcome?.kind === "finish" ? outcome.reason : null;
    const text = echoOf(run, choice.index) + textOf(pieces);
    const logprobs = run.request.sampling.logprobs > 0
      ? logprobsJson(run, pieces.flatMap((piece) => piece.entries))
      : "null";
    const trace = traceJson(run.model, pieces);
    return `{"index":${choice.index},"text":${JSON.stringify(text)},"logprobs":${logprobs},` +
      `"finish_reason":"${reason}"${trace}}`;
  });
  return `${headJson(run, head)}"choices":[${choices.join(",")}],` +
    `"usage":${JSON.stringify(usageOf(run))}}`;
}

function headJson(run: Run, head: AnswerHead): string {
  return `{"id":"${head.id}","object":"text_completion","created":${head.created},` +
    `"model":${JSON.stringify(run.model.card.id)},"system_fingerprint":"${fingerprint(run)}",`;
}

/** The prompt that a choice repeats, or nothing. */
function echoOf(run: Run, choice: number): string {
  if (!run.request.echo) return "";
  const promptIndex = run.choices[choice]!.promptIndex;
  const prompt = run.request.prompts[promptIndex]!;
  if (prompt.kind === "text") return prompt.text;
  const tokenText = run.model.tokenText();
  try {
    return tokenText.push(run.promptTokens[promptIndex]!) + tokenText.flush();
  } finally {
    tokenText.free();
  }
}

function logprobsJson(run: Run, entries: readonly LogprobEntry[]): string {
  const { model } = run;
  const wantTop = run.request.sampling.logprobs > 1;
  return JSON.stringify({
    tokens: entries.map((entry) => tokenString(model, entry.token)),
    token_logprobs: entries.map((entry) => jsonLogprob(entry.logprob)),
    top_logprobs: wantTop
      ? entries.map((entry) =>
        Object.fromEntries(
          entry.top.map(([token, logprob]) => [tokenString(model, token), jsonLogprob(logprob)]),
        )
      )
      : null,
    text_offset: entries.map((entry) => entry.textStart),
  });
}
