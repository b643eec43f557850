/** The gateway's fleet as lines of plain text. Pure. @module */
import type { Fleet, FleetNode } from "../proto/fleet.ts";

const DEPTHS_SHOWN = 6;
const HEADS = [
  "NODE",
  "STATE",
  "SLOTS",
  "PAGES",
  "QUEUE",
  "TOK/STEP",
  "TOK/S",
  "PREFIX",
  `ACCEPTED 1..${DEPTHS_SHOWN}, %`,
  "MODEL",
];

function percent(part: number, whole: number): string {
  return whole === 0 ? "-" : String(Math.round(100 * part / whole));
}

function cellsOf(node: FleetNode): string[] {
  const depths = node.accepted_by_depth.slice(0, DEPTHS_SHOWN);
  const prefix = percent(node.prompt_tokens_cached, node.prompt_tokens);
  return [
    `${node.index} ${node.backend ?? "-"}`,
    node.state,
    `${node.slots_busy}/${node.slots_max}`,
    `${node.pages_used}/${node.pages_max}`,
    String(node.queue),
    node.tokens_per_step.toFixed(2),
    node.tokens_per_second.toFixed(0),
    prefix === "-" ? "-" : `${prefix} %`,
    depths.map((count) => percent(count, node.steps).padStart(3)).join(" "),
    node.model ?? "-",
  ];
}

/** A line of totals, an empty one, the table's head, and a line a node. */
export function fleetLines(fleet: Fleet): string[] {
  const ready = fleet.nodes.filter(({ state }) => state === "ready").length;
  const total =
    `${ready} of ${fleet.nodes.length} nodes ready; ${fleet.gateway}: ${fleet.requests_active} ` +
    `requests, ${fleet.queue.waiting} waiting, ${fleet.cache.entries} answers held`;
  const rows = [HEADS, ...fleet.nodes.map(cellsOf)];
  const widths = HEADS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()
  );
  return [total, "", ...lines];
}
