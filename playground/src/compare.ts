/** The same prompt with speculation on and off: equal text, less time. @module */
import { h } from "preact";
import { useState } from "preact/hooks";
import { ask, type Progress } from "./ask.ts";
import { AnswerView, Pace } from "./answer_view.ts";
import { fieldsOf, type Settings } from "./settings.ts";

type Runs = { on?: Progress | undefined; off?: Progress | undefined };

export function CompareView({ settings }: { settings: Settings }) {
  const [prompt, setPrompt] = useState("Count from one to twenty in words.");
  const [runs, setRuns] = useState<Runs>({});
  const [verdict, setVerdict] = useState("");
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setVerdict("");
    setRuns({});
    const messages = [{ role: "user", content: prompt }];
    const { signal } = new AbortController();
    const found: Runs = {};
    try {
      // One after the other: together they would share the machine.
      for (const side of ["off", "on"] as const) {
        const mode = side === "off" ? "off" : settings.mode === "off" ? "default" : settings.mode;
        const body = { ...fieldsOf(settings, mode), messages };
        found[side] = await ask(body, (progress) => {
          setRuns({ ...found, [side]: { ...progress } });
        }, signal);
      }
      setVerdict(judge(found.on!, found.off!));
    } catch (error) {
      setVerdict(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  };
  return h(
    "section",
    { class: "wide", "aria-label": "Compare" },
    h("h2", null, "On and off"),
    h(
      "div",
      { class: "row" },
      h("input", {
        "aria-label": "Prompt to compare",
        value: prompt,
        onInput: (e: { currentTarget: HTMLInputElement }) => setPrompt(e.currentTarget.value),
      }),
      h("button", { disabled: busy, onClick: run }, "Run both"),
    ),
    h("p", { role: "status", id: "verdict" }, verdict),
    h(
      "div",
      { class: "pair" },
      side("Speculation on", runs.on),
      side("Speculation off", runs.off),
    ),
  );
}

function judge(on: Progress, off: Progress): string {
  const same = on.answer.text === off.answer.text ? "Equal text" : "The texts differ";
  const saved = (off.totalMs - on.totalMs) / 1000;
  const words = saved >= 0 ? `${saved.toFixed(2)} s saved` : `${(-saved).toFixed(2)} s lost`;
  return `${same}; ${words} of ${(off.totalMs / 1000).toFixed(2)} s`;
}

function side(name: string, progress: Progress | undefined) {
  return h(
    "div",
    { class: "side" },
    h("h3", null, name),
    progress ? h(AnswerView, { progress }) : null,
    progress ? h(Pace, { progress }) : null,
  );
}
