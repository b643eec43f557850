/** An answer's text, coloured by how each token came, and its pace. @module */
import { h } from "preact";
import { useMemo } from "preact/hooks";
import type { Progress } from "./ask.ts";
import { chunksOf, seconds } from "./dom.ts";
import type { Run } from "./trace.ts";

interface AnswerProps {
  progress: Progress;
  /** The step whose tokens are marked. */
  marked?: number | undefined;
  /** Called with the step of the token that was clicked; the slider does the same by keyboard. */
  choose?: (step: number) => void;
}

/** Most of a long answer stays as it is while its end grows: that is drawn once. */
const CHUNK_RUNS = 100;

interface ChunkProps extends Pick<AnswerProps, "marked" | "choose"> {
  runs: readonly Run[];
}

/** Text nodes alone: an answer is never taken for HTML, whatever it says. */
function RunChunk({ runs, marked, choose }: ChunkProps) {
  const own = runs.some(({ step }) => step === marked) ? marked : undefined;
  return useMemo(
    () =>
      runs.map(({ text, origin, step }) =>
        h("span", {
          class: `${origin ?? ""}${step !== undefined && step === own ? " marked" : ""}`,
          onClick: step === undefined || !choose ? undefined : () => choose(step),
        }, text)
      ),
    [runs.length, runs.at(-1)?.text, runs.at(-1)?.step, own, choose],
  ) as unknown as null;
}

export function AnswerView({ progress, marked, choose }: AnswerProps) {
  const chunks = chunksOf(progress.answer.runs(), CHUNK_RUNS);
  return h(
    "div",
    { class: choose ? "text answer choosable" : "text answer" },
    chunks.map((runs, i) => h(RunChunk, { key: i, runs, marked, choose })),
  );
}

export function perStep({ answer }: Progress): string {
  return (answer.tokenCount / Math.max(1, answer.steps.length)).toFixed(2);
}

export function perSecond({ laterCount, generationMs }: Progress): string {
  return laterCount > 0 && generationMs > 0
    ? (1000 * laterCount / generationMs).toFixed(0)
    : "\u2013";
}

export function paceWords(progress: Progress): string {
  return `${progress.answer.tokenCount} tokens, ${perStep(progress)} a step, ` +
    `${perSecond(progress)} tokens/s, ${seconds(progress.totalMs)}`;
}

export function Legend() {
  return h(
    "p",
    { class: "quiet legend" },
    h("span", { class: "draft" }, "drafted and accepted"),
    " ",
    h("span", { class: "bonus" }, "drawn by the target model"),
  );
}
