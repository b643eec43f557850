/** The same prompt with speculation on and off: equal text, less time. @module */
import { h } from "preact";
import { useState } from "preact/hooks";
import { AnswerView, Legend, paceWords } from "./answer_view.ts";
import { ask, type Progress } from "./ask.ts";
import { Button, seconds, type Typed } from "./dom.ts";
import { ModeChoice } from "./settings.ts";
import { fieldsOf, type Mode, refuseSettings, type Settings } from "./settings_fields.ts";

type Side = "on" | "off";
type Runs = Partial<Record<Side, Progress>>;

const NAMES: Readonly<Record<Side, string>> = { on: "Speculation on", off: "Speculation off" };

async function runBoth(
  { settings, prompt, mode, signal }: {
    settings: Settings;
    prompt: string;
    mode: Mode;
    signal: AbortSignal;
  },
  show: (runs: Runs) => void,
): Promise<Required<Runs>> {
  const messages = [{ role: "user", content: prompt }];
  const body = (mode: Mode) => ({ ...fieldsOf(settings, mode), messages });
  // The prompt is then held for both, where otherwise the second alone would gain by it.
  await ask({ ...body("off"), max_tokens: 1 }, () => {}, signal);
  const found: Runs = {};
  // One after the other: together they would share the machine.
  for (const side of ["off", "on"] as const) {
    found[side] = await ask(body(side === "off" ? "off" : mode), (progress) => {
      show({ ...found, [side]: { ...progress } });
    }, signal);
  }
  return found as Required<Runs>;
}

function judge({ on, off }: Required<Runs>): string {
  const { ids } = off.answer;
  const differs = Array.from({ length: Math.max(ids.length, on.answer.ids.length) })
    .findIndex((_, i) => ids[i] !== on.answer.ids[i]);
  const same = differs < 0 && on.answer.text === off.answer.text;
  const text = same
    ? `Equal text, token for token (${ids.length}).`
    : `The texts differ from token ${differs + 1} on.`;
  const saved = off.totalMs - on.totalMs;
  const time = saved >= 0 ? `${seconds(saved)} saved` : `${seconds(-saved)} lost`;
  return `${text} ${time} of ${seconds(off.totalMs)}: ` +
    `${(off.totalMs / on.totalMs).toFixed(2)} times as fast.`;
}

function SideView({ side, runs }: { side: Side; runs: Runs }) {
  const progress = runs[side];
  const longest = Math.max(1, ...Object.values(runs).map(({ totalMs }) => totalMs));
  const width = 100 * (progress?.totalMs ?? 0) / longest;
  return h(
    "div",
    { class: "side", id: `side-${side}` },
    h("h3", null, NAMES[side]),
    h(
      "svg",
      { class: "time", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
      h("rect", { class: "back", width: 100, height: 4 }),
      h("rect", { class: side, width, height: 4 }),
    ),
    h("p", { class: "quiet pace" }, progress ? paceWords(progress) : "\u2013"),
    progress ? h(AnswerView, { progress }) : null,
  );
}

export function CompareView({ settings }: { settings: Settings }) {
  const [prompt, setPrompt] = useState("Count from one to twenty in words.");
  const [mode, setMode] = useState<Mode>("default");
  const [runs, setRuns] = useState<Runs>({});
  const [verdict, setVerdict] = useState("");
  const [running, setRunning] = useState<AbortController | undefined>(undefined);
  const run = async () => {
    const problems = refuseSettings(settings);
    if (problems.length > 0 || prompt.trim() === "") {
      return setVerdict(problems.join("; ") || "Write a prompt first.");
    }
    const controller = new AbortController();
    const { signal } = controller;
    setRunning(controller);
    setVerdict("Running, first off, then on.");
    setRuns({});
    try {
      setVerdict(judge(await runBoth({ settings, prompt, mode, signal }, setRuns)));
    } catch (error) {
      const words = error instanceof Error ? error.message : String(error);
      setVerdict(signal.aborted ? "Stopped." : words);
    }
    setRunning(undefined);
  };
  return h(
    "section",
    { class: "compare", "aria-label": "On and off" },
    h("h2", null, "The same prompt, with speculation on and off"),
    h(
      "label",
      null,
      "Prompt",
      h("textarea", {
        id: "compared",
        rows: 2,
        value: prompt,
        onInput: (e: Typed) => setPrompt(e.currentTarget.value),
      }),
    ),
    h(
      "div",
      { class: "row" },
      h(ModeChoice, { value: mode, without: "off", onChange: (value) => setMode(value as Mode) }),
      running
        ? h(Button, { label: "Stop", kind: "first", onClick: () => running.abort() })
        : h(Button, { label: "Run both", kind: "first", onClick: run }),
      h(Legend, null),
    ),
    h("p", { role: "status", id: "verdict" }, verdict),
    h(
      "div",
      { class: "pair" },
      h(SideView, { side: "on", runs }),
      h(SideView, { side: "off", runs }),
    ),
  );
}
