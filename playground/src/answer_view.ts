/** An answer's text, coloured by how each token came, and its pace. @module */
import { h } from "preact";
import type { Progress } from "./ask.ts";

/** Text nodes alone: an answer is never taken for HTML, whatever it says. */
export function AnswerView({ progress }: { progress: Progress }) {
  const runs = progress.answer.runs();
  return h(
    "div",
    { class: "text answer" },
    runs.map(({ text, origin }) => h("span", { class: origin ?? "" }, text)),
  );
}

export function Pace({ progress }: { progress: Progress }) {
  const { answer, generationMs, totalMs } = progress;
  const steps = Math.max(1, answer.stepCount);
  const perStep = (answer.tokenCount / steps).toFixed(2);
  const perSecond = generationMs > 0
    ? (1000 * answer.tokenCount / generationMs).toFixed(0)
    : "\u2013";
  const seconds = (totalMs / 1000).toFixed(2);
  const words =
    `${answer.tokenCount} tokens, ${perStep} a step, ${perSecond} tokens/s, ${seconds} s`;
  return h("p", { class: "quiet pace" }, words);
}
