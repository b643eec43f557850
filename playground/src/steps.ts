/** The steps of an answer: how much each brought, and the tree of the one that is looked at.
 * @module */
import { h } from "preact";
import { Bars } from "./bars.ts";
import { perSecond, perStep } from "./answer_view.ts";
import type { Progress } from "./ask.ts";
import { Button, type Typed } from "./dom.ts";
import type { ShownStep } from "./trace.ts";
import { TreeView } from "./tree.ts";

interface StepsProps {
  progress: Progress | undefined;
  /** `undefined`: the latest. */
  chosen: number | undefined;
  choose: (step: number | undefined) => void;
}

function Figure({ value, unit, id }: { value: string; unit: string; id: string }) {
  return h("div", { class: "figure", id }, h("b", null, value), h("span", null, unit));
}

function Figures({ progress }: { progress: Progress }) {
  const drafted = progress.answer.steps.reduce((sum, step) => sum + step.drafted_count, 0);
  const accepted = progress.answer.steps.reduce((sum, step) => sum + step.accepted_count, 0);
  return h(
    "div",
    { class: "figures" },
    h(Figure, { id: "per-step", value: perStep(progress), unit: "tokens a step" }),
    h(Figure, { id: "per-second", value: perSecond(progress), unit: "tokens a second" }),
    h(Figure, { id: "kept", value: `${accepted} of ${drafted}`, unit: "draft tokens accepted" }),
    h(Figure, { id: "first", value: progress.firstTokenMs.toFixed(0), unit: "ms to the first" }),
  );
}

function Choice({ count, index, chosen, choose }: {
  count: number;
  index: number;
  chosen: number | undefined;
  choose: StepsProps["choose"];
}) {
  return h(
    "div",
    { class: "row" },
    h(Button, { label: "Back", disabled: index <= 0, onClick: () => choose(index - 1) }),
    h("input", {
      type: "range",
      id: "step-choice",
      "aria-label": "Step",
      min: 1,
      max: count,
      value: index + 1,
      onInput: (e: Typed) => choose(e.currentTarget.valueAsNumber - 1),
    }),
    h(Button, { label: "Next", disabled: index >= count - 1, onClick: () => choose(index + 1) }),
    h(Button, {
      label: "Latest",
      pressed: chosen === undefined,
      onClick: () => choose(undefined),
    }),
  );
}

function stepWords(step: ShownStep, index: number, count: number): string {
  const place = `Step ${index + 1} of ${count}: `;
  if (step.drafted_count === 0) return `${place}nothing drafted, one token drawn`;
  const { drafted_count, accepted_count, tokens } = step;
  return `${place}${drafted_count} drafted, ${accepted_count} accepted, ${tokens.length} gained`;
}

export function StepsView({ progress, chosen, choose }: StepsProps) {
  const steps = progress?.answer.steps ?? [];
  const index = Math.min(chosen ?? steps.length - 1, steps.length - 1);
  const step = steps[index];
  return h(
    "section",
    { class: "steps", "aria-label": "Draft tree" },
    h("h2", null, "Draft tree"),
    progress === undefined || step === undefined
      ? h(
        "p",
        { class: "quiet" },
        "Each step, a small draft head proposes a tree of tokens. The target model checks them " +
          "all at once, keeps the path that it would have written itself, and draws one token " +
          "more. Send a message to watch.",
      )
      : [
        h(Figures, { progress }),
        h(Bars, { steps, index, choose }),
        h(Choice, { count: steps.length, index, chosen, choose }),
        h("p", { id: "step" }, stepWords(step, index, steps.length)),
        h(TreeView, { step, answer: progress.answer.text }),
      ],
  );
}
