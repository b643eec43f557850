/** The fleet: nodes, slots, pages, prefix hits, accepted by depth, queue. @module */
import { h } from "preact";
import { useEffect, useState } from "preact/hooks";
import { getJson } from "./ask.ts";

interface Node {
  index: number;
  state: string;
  slots_max: number;
  slots_busy: number;
  queue: number;
  pages_max: number;
  pages_used: number;
  tokens_per_step: number;
  tokens_per_second: number;
  prompt_tokens: number;
  prompt_tokens_cached: number;
  steps: number;
  accepted_by_depth: number[];
}

interface Fleet {
  requests_active: number;
  queue: { waiting: number };
  nodes: Node[];
}

const POLL_MS = 1000;
const DEPTHS_SHOWN = 6;
const HEADS = [
  "Node",
  "State",
  "Slots",
  "Pages",
  "Queue",
  "Tokens/step",
  "Tokens/s",
  "Prefix hits",
];

const percent = (part: number, whole: number) =>
  whole === 0 ? "\u2013" : `${Math.round(100 * part / whole)}%`;

export function FleetView() {
  const [fleet, setFleet] = useState<Fleet | undefined>(undefined);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const look = () => {
      if (document.hidden) return;
      getJson<Fleet>("/v1/fleet").then((found) => {
        setFleet(found);
        setProblem("");
      }, (error) => setProblem(String(error.message)));
    };
    look();
    const timer = setInterval(look, POLL_MS);
    return () => clearInterval(timer);
  }, []);
  const depths = Array.from({ length: DEPTHS_SHOWN }, (_, i) => `Depth ${i + 1}`);
  return h(
    "section",
    { class: "wide", "aria-label": "Fleet" },
    h("h2", null, "Fleet"),
    problem ? h("p", { class: "bad" }, problem) : null,
    fleet
      ? h("p", null, `${fleet.requests_active} requests, ${fleet.queue.waiting} waiting for a node`)
      : null,
    fleet
      ? h(
        "div",
        { class: "scroll", tabIndex: 0, role: "group", "aria-label": "Nodes" },
        h(
          "table",
          null,
          h("caption", { class: "quiet" }, "Depth d: steps that accepted d draft tokens or more"),
          h(
            "thead",
            null,
            h("tr", null, [...HEADS, ...depths].map((head) => h("th", { scope: "col" }, head))),
          ),
          h("tbody", null, fleet.nodes.map(row)),
        ),
      )
      : null,
  );
}

function row(node: Node) {
  const cells = [
    node.state,
    `${node.slots_busy} / ${node.slots_max}`,
    `${node.pages_used} / ${node.pages_max}`,
    node.queue,
    node.tokens_per_step.toFixed(2),
    node.tokens_per_second.toFixed(0),
    percent(node.prompt_tokens_cached, node.prompt_tokens),
    ...node.accepted_by_depth.slice(0, DEPTHS_SHOWN).map((count) => percent(count, node.steps)),
  ];
  const head = h("th", { scope: "row" }, node.index);
  return h("tr", { key: node.index }, head, cells.map((cell) => h("td", null, cell)));
}
