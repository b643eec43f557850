/** An answer's text, coloured by how each token came, and its pace. @module */
import { h } from "preact";
import type { Progress } from "./ask.ts";
import { seconds } from "./dom.ts";

interface AnswerProps {
  progress: Progress;
  /** The step whose tokens are marked. */
  marked?: number | undefined;
  /** Called with the step of the token that was clicked; the slider does the same by keyboard. */
  choose?: (step: number) => void;
}

/** Text nodes alone: an answer is never taken for HTML, whatever it says. */
export function AnswerView({ progress, marked, choose }: AnswerProps) {
  return h(
    "div",
    { class: choose ? "text answer choosable" : "text answer" },
    progress.answer.runs().map(({ text, origin, step }) =>
      h("span", {
        class: `${origin ?? ""}${step !== undefined && step === marked ? " marked" : ""}`,
        onClick: step === undefined || !choose ? undefined : () => choose(step),
      }, text)
    ),
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
