/** The playground: a chat whose speculation can be seen. @module */
import { h, render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { getJson, type Progress, Refusal } from "./ask.ts";
import { ChatView } from "./chat.ts";
import { CompareView } from "./compare.ts";
import { useConversation } from "./conversation.ts";
import { Button } from "./dom.ts";
import { FleetView } from "./fleet.ts";
import { KeyView } from "./key.ts";
import { SETTINGS, type Settings } from "./settings_fields.ts";
import { SettingsView } from "./settings.ts";
import { StepsView } from "./steps.ts";
import { useTheme } from "./theme.ts";

const VIEWS = [["chat", "Chat"], ["compare", "On and off"], ["fleet", "Fleet"]] as const;
type View = (typeof VIEWS)[number][0];

function viewOf(hash: string): View {
  return VIEWS.find(([id]) => `#${id}` === hash)?.[0] ?? "chat";
}

function useView(): View {
  const [view, setView] = useState(viewOf(location.hash));
  useEffect(() => {
    const look = () => setView(viewOf(location.hash));
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  return view;
}

/** The gateway's models, or why they cannot be had. */
function useModels(onModels: (ids: string[]) => void) {
  const [problem, setProblem] = useState<Refusal | undefined>(undefined);
  const look = () => {
    getJson<{ data: { id: string }[] }>("/v1/models").then(({ data }) => {
      onModels(data.map(({ id }) => id));
      setProblem(data.length > 0 ? undefined : new Refusal("No node is ready yet.", 503));
    }, setProblem);
  };
  useEffect(look, []);
  return { problem, look };
}

function Header({ view, model }: { view: View; model: string }) {
  const theme = useTheme();
  return h(
    "header",
    null,
    h("h1", null, "Redraft"),
    h(
      "nav",
      { "aria-label": "Views" },
      VIEWS.map(([id, label]) =>
        h("a", { href: `#${id}`, "aria-current": view === id ? "page" : undefined }, label)
      ),
    ),
    h("span", { class: "quiet model-name" }, model),
    h(Button, { label: theme.label, kind: "small", onClick: theme.next }),
  );
}

function ProblemView({ problem, retry }: { problem: Refusal | undefined; retry: () => void }) {
  if (problem === undefined) return null;
  if (problem.status === 401) return h(KeyView, { problem: problem.message, retry });
  return h(
    "p",
    { class: "bad problem", role: "alert" },
    `${problem.message} `,
    h(Button, { label: "Look again", onClick: retry }),
  );
}

function Page() {
  const view = useView();
  const [settings, setSettings] = useState<Settings>(SETTINGS);
  const [models, setModels] = useState<string[]>([]);
  const [progress, setProgress] = useState<Progress | undefined>(undefined);
  const [chosen, choose] = useState<number | undefined>(undefined);
  const { problem, look } = useModels((ids) => {
    setModels(ids);
    setSettings((held) => ({
      ...held,
      model: ids.includes(held.model) ? held.model : ids[0] ?? "",
    }));
  });
  const conversation = useConversation({ settings, show: setProgress, onDenied: look });
  // A new answer is followed from its start.
  useEffect(() => choose(undefined), [progress?.answer]);
  const part = (id: View, content: unknown) =>
    h("div", { class: `view ${id}-view`, hidden: view !== id }, content as null);
  return [
    h(Header, { view, model: settings.model }),
    h(
      "main",
      null,
      h(ProblemView, { problem, retry: look }),
      part("chat", [
        h(
          ChatView,
          { conversation, marked: chosen, choose },
          h(SettingsView, { settings, models, change: setSettings }),
        ),
        h(StepsView, { progress, chosen, choose }),
      ]),
      part("compare", h(CompareView, { settings })),
      part("fleet", h(FleetView, { isShown: view === "fleet" })),
    ),
  ];
}

render(h(Page, null), document.getElementById("page")!);
