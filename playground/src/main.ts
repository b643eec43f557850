/** The playground: a chat whose speculation can be seen. @module */
import { h, render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { AnswerView, Pace } from "./answer_view.ts";
import { ask, getJson, type Message, type Progress } from "./ask.ts";
import { CompareView } from "./compare.ts";
import { FleetView } from "./fleet.ts";
import { fieldsOf, SETTINGS, type Settings, SettingsView } from "./settings.ts";
import { TreeView } from "./tree.ts";

interface Turn extends Message {
  progress?: Progress;
}

interface ChatProps {
  settings: Settings;
  show: (progress: Progress) => void;
}

function Chat({ settings, show }: ChatProps) {
  const [turns, setTurns] = useState<Turn[]>([]);
  const [draft, setDraft] = useState("");
  const [problem, setProblem] = useState("");
  const [stop, setStop] = useState<AbortController | undefined>(undefined);
  const input = useRef<HTMLTextAreaElement>(null);
  const send = async () => {
    if (draft.trim() === "" || stop !== undefined) return;
    const asked: Turn[] = [...turns, { role: "user", content: draft }];
    const controller = new AbortController();
    const messages = asked.map(({ role, content }) => ({ role, content }));
    setTurns(asked);
    setDraft("");
    setProblem("");
    setStop(controller);
    try {
      await ask({ ...fieldsOf(settings), messages }, (progress) => {
        const copy = { ...progress };
        setTurns([...asked, { role: "assistant", content: copy.answer.text, progress: copy }]);
        show(copy);
      }, controller.signal);
    } catch (error) {
      const isStop = controller.signal.aborted;
      setProblem(isStop ? "Stopped." : error instanceof Error ? error.message : String(error));
    }
    setStop(undefined);
  };
  const edit = (index: number) => {
    setDraft(turns[index]!.content);
    setTurns(turns.slice(0, index));
    input.current?.focus();
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  return h(
    "section",
    { "aria-label": "Chat" },
    h("h2", null, "Chat"),
    h(
      "div",
      { role: "log", "aria-live": "polite", "aria-busy": stop !== undefined },
      turns.map((turn, i) => turnView(turn, i, stop ? undefined : edit)),
    ),
    problem ? h("p", { class: "bad", role: "alert" }, problem) : null,
    h("label", { for: "draft" }, "Message (Enter sends, Shift+Enter breaks the line)"),
    h("textarea", {
      id: "draft",
      ref: input,
      rows: 3,
      value: draft,
      onInput: (e: { currentTarget: HTMLTextAreaElement }) => setDraft(e.currentTarget.value),
      onKeyDown: onKey,
    }),
    h(
      "div",
      { class: "row" },
      h("button", { class: "first", disabled: stop !== undefined, onClick: send }, "Send"),
      h("button", { disabled: stop === undefined, onClick: () => stop?.abort() }, "Stop"),
      h("span", { class: "draft" }, "drafted, accepted"),
      h("span", { class: "bonus" }, "drawn by the target"),
    ),
  );
}

function turnView(turn: Turn, index: number, edit: ((index: number) => void) | undefined) {
  const { role, content, progress } = turn;
  return h(
    "div",
    { class: "message", key: index },
    h("div", { class: "role" }, role === "user" ? "You" : "Model"),
    progress ? h(AnswerView, { progress }) : h("div", { class: "text" }, content),
    progress ? h(Pace, { progress }) : null,
    role === "user" && edit ? h("button", { onClick: () => edit(index) }, "Edit") : null,
  );
}

function Steps({ progress }: { progress: Progress | undefined }) {
  const [chosen, choose] = useState<number | undefined>(undefined);
  const steps = progress?.answer.steps ?? [];
  const index = Math.min(chosen ?? steps.length - 1, steps.length - 1);
  const step = steps[index];
  const words = step === undefined
    ? "No step yet."
    : `Step ${index + 1} of ${steps.length}: ${step.drafted_count} drafted, ` +
      `${step.accepted_count} accepted`;
  return h(
    "section",
    { "aria-label": "Draft tree" },
    h("h2", null, "Draft tree"),
    h("p", { id: "step" }, words),
    h(
      "div",
      { class: "row" },
      h("button", { disabled: index <= 0, onClick: () => choose(index - 1) }, "Back"),
      h(
        "button",
        { disabled: index >= steps.length - 1, onClick: () => choose(index + 1) },
        "Next",
      ),
      h(
        "button",
        { "aria-pressed": chosen === undefined, onClick: () => choose(undefined) },
        "Follow",
      ),
    ),
    step ? h(TreeView, { step }) : null,
  );
}

function Page() {
  const [settings, setSettings] = useState(SETTINGS);
  const [models, setModels] = useState<string[]>([]);
  const [problem, setProblem] = useState("");
  const [progress, setProgress] = useState<Progress | undefined>(undefined);
  const look = () => {
    getJson<{ data: { id: string }[] }>("/v1/models").then(({ data }) => {
      const ids = data.map(({ id }) => id);
      setModels(ids);
      setSettings((held) => ({ ...held, model: held.model || ids[0] || "" }));
      setProblem("");
    }, (error) => setProblem(String(error.message)));
  };
  useEffect(look, []);
  return h(
    "div",
    null,
    h(
      "header",
      null,
      h("h1", null, "Redraft playground"),
      h("span", { class: "quiet" }, settings.model),
    ),
    h(
      "main",
      null,
      problem ? h("p", { class: "bad wide", role: "alert", id: "problem" }, problem) : null,
      h(SettingsView, { settings, models, change: setSettings, retry: look }),
      h(Chat, { settings, show: setProgress }),
      h(Steps, { progress }),
      h(CompareView, { settings }),
      h(FleetView, null),
    ),
  );
}

render(h(Page, null), document.getElementById("page")!);
