/** The fleet: nodes, slots, pages, prefix hits, accepted by depth, queue. @module */
import { h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Fleet, FleetNode } from "../../proto/fleet.ts";
import { getJson } from "./ask.ts";
import { percent } from "./dom.ts";

const POLL_MS = 1000;
const HISTORY_MAX = 60;
const DEPTHS_SHOWN = 8;
const HEADS = [
  "Node",
  "State",
  "Slots",
  "KV pages",
  "Queue",
  "Tokens a step, lately",
  "Tokens a second",
  "Prompt held",
  "Accepted by depth",
];

type History = ReadonlyMap<number, readonly number[]>;

/** @param isShown Nobody is asked while nobody looks. */
function useFleet(isShown: boolean) {
  const [fleet, setFleet] = useState<Fleet | undefined>(undefined);
  const [history, setHistory] = useState<History>(new Map());
  const [problem, setProblem] = useState("");
  useEffect(() => {
    if (!isShown) return;
    const look = () => {
      if (document.hidden) return;
      getJson<Fleet>("/v1/fleet").then((found) => {
        setFleet(found);
        setProblem("");
        setHistory((held) =>
          new Map(found.nodes.map(({ index, tokens_per_second }) => [
            index,
            [...held.get(index) ?? [], tokens_per_second].slice(-HISTORY_MAX),
          ]))
        );
      }, (error) => setProblem(error.message));
    };
    look();
    const timer = setInterval(look, POLL_MS);
    return () => clearInterval(timer);
  }, [isShown]);
  return { fleet, history, problem };
}

function Meter({ name, value, max }: { name: string; value: number; max: number }) {
  return h(
    "div",
    { class: "metered" },
    h("meter", { min: 0, max: Math.max(1, max), value, "aria-label": name }),
    `${value} / ${max}`,
  );
}

function Line({ values }: { values: readonly number[] }) {
  const most = Math.max(1, ...values);
  const points = values.map((value, i) => `${i * 2},${20 - 18 * value / most}`).join(" ");
  return h(
    "svg",
    { class: "line", width: HISTORY_MAX * 2, height: 22, "aria-hidden": "true" },
    h("polyline", { points }),
  );
}

function Depths({ node }: { node: FleetNode }) {
  const counts = node.accepted_by_depth.slice(0, DEPTHS_SHOWN);
  const words = counts.map((count, i) => `${i + 1}: ${percent(count, node.steps)}`).join(", ");
  const height = (count: number) => 24 * count / Math.max(1, node.steps);
  return h(
    "div",
    { class: "depths", title: words },
    h(
      "svg",
      { width: DEPTHS_SHOWN * 11, height: 26, "aria-hidden": "true" },
      counts.map((count, i) => [
        h("rect", { class: "back", x: i * 11, y: 0, width: 9, height: 26 }),
        h("rect", { x: i * 11, y: 26 - height(count), width: 9, height: height(count) }),
      ]),
    ),
    h("span", { class: "said" }, words),
    h(
      "span",
      { class: "quiet" },
      percent(counts[0] ?? 0, node.steps),
      " / ",
      percent(counts[1] ?? 0, node.steps),
    ),
  );
}

function row(node: FleetNode, history: readonly number[]) {
  const cells = [
    h("span", { class: `state ${node.state}` }, node.state),
    h(Meter, { name: "Slots busy", value: node.slots_busy, max: node.slots_max }),
    h(Meter, { name: "Pages used", value: node.pages_used, max: node.pages_max }),
    node.queue,
    node.tokens_per_step.toFixed(2),
    h("div", null, h(Line, { values: history }), node.tokens_per_second.toFixed(0)),
    percent(node.prompt_tokens_cached, node.prompt_tokens),
    h(Depths, { node }),
  ];
  const head = h(
    "th",
    { scope: "row" },
    `${node.index}`,
    h("span", { class: "quiet" }, ` ${node.backend ?? ""}`),
  );
  return h("tr", { key: node.index }, head, cells.map((cell) => h("td", null, cell)));
}

function Summary({ fleet }: { fleet: Fleet }) {
  const ready = fleet.nodes.filter(({ state }) => state === "ready").length;
  const nodes = `${ready} of ${fleet.nodes.length} nodes ready`;
  const own = [
    `${fleet.requests_active} requests under way`,
    `${fleet.queue.waiting} waiting for a slot`,
    `${fleet.cache.entries} answers held (${(fleet.cache.bytes / 1024).toFixed(0)} KiB)`,
  ];
  return h("p", { id: "fleet-words" }, `${nodes}. ${fleet.gateway}: ${own.join(", ")}`);
}

export function FleetView({ isShown }: { isShown: boolean }) {
  const { fleet, history, problem } = useFleet(isShown);
  return h(
    "section",
    { "aria-label": "Fleet" },
    h("h2", null, "Fleet"),
    problem ? h("p", { class: "bad", role: "alert" }, problem) : null,
    fleet === undefined ? null : [
      h(Summary, { fleet }),
      h(
        "div",
        { class: "scroll", tabIndex: 0, role: "group", "aria-label": "Nodes" },
        h(
          "table",
          null,
          h("thead", null, h("tr", null, HEADS.map((head) => h("th", { scope: "col" }, head)))),
          h("tbody", null, fleet.nodes.map((node) => row(node, history.get(node.index) ?? []))),
        ),
      ),
      h(
        "p",
        { class: "quiet" },
        "Accepted by depth: the share of steps that accepted 1, 2, 3 .. draft tokens or more. " +
          "Prompt held: prompt tokens whose KV rows the node had already. The " +
          "nodes count for all gateways, since they opened; requests, queue and held answers are " +
          "those of the gateway that answers.",
      ),
    ],
  );
}
