/** One step's drafted tree: what was proposed, how likely, what was kept. @module */
import { h } from "preact";
import type { PackedToken, ShownStep } from "./trace.ts";

const COLUMN = 120;
const ROW = 34;
const BOX = { width: 96, height: 26 };
const LABEL_CHARS_MAX = 8;

interface Place {
  x: number;
  y: number;
}

/** Leaves on rows of their own; a parent stands at its first child's height. */
function places(tree: readonly PackedToken[]): Place[] {
  const children: number[][] = tree.map(() => []);
  tree.forEach(({ parent }, i) => parent >= 0 && children[parent]!.push(i));
  const found: Place[] = tree.map(() => ({ x: 0, y: 0 }));
  let row = 0;
  const place = (index: number, depth: number) => {
    const own = children[index]!;
    const y = row * ROW;
    found[index] = { x: depth * COLUMN, y };
    own.forEach((child, i) => {
      if (i > 0) row++;
      place(child, depth + 1);
    });
  };
  if (tree.length > 0) place(0, 0);
  return found;
}

function shown(text: string): string {
  const words = text.replaceAll("\n", "\u21b5").replaceAll(" ", "\u2423");
  return words.length > LABEL_CHARS_MAX ? `${words.slice(0, LABEL_CHARS_MAX)}\u2026` : words;
}

function box(place: Place, kind: string, label: string, title: string) {
  return h(
    "g",
    { class: kind, transform: `translate(${place.x + 4} ${place.y + 4})` },
    h("title", null, title),
    h("rect", { ...BOX, rx: 5 }),
    h("text", { x: 6, y: 17 }, label),
  );
}

function line(from: Place, to: Place, kind: string) {
  const x = from.x + BOX.width + 4, y = from.y + 17, endX = to.x + 4, endY = to.y + 17;
  const middle = (x + endX) / 2;
  return h("path", {
    class: kind,
    d: `M${x} ${y} C${middle} ${y} ${middle} ${endY} ${endX} ${endY}`,
  });
}

export function TreeView({ step }: { step: ShownStep }) {
  const { tree } = step;
  const at = places(tree);
  const percent = (logprob: number) => `${Math.round(100 * Math.exp(logprob))}%`;
  const last = tree.findLastIndex(({ accepted }) => accepted);
  const bonus = step.tokens.findLast(({ origin }) => origin === "bonus");
  const rows = Math.max(0, ...at.map(({ y }) => y));
  const drawn = { x: last < 0 ? 0 : at[last]!.x + COLUMN, y: rows + ROW };
  const width = Math.max(drawn.x, ...at.map(({ x }) => x)) + COLUMN;
  const path = step.tokens.map(({ text }) => text).join("");
  const name =
    `${tree.length} packed tokens, ${step.accepted_count} accepted; the step gave: ${path}`;
  return h(
    "div",
    { class: "tree", tabIndex: 0, role: "group", "aria-label": "Tree of the step" },
    h(
      "svg",
      { width, height: drawn.y + ROW + 8, role: "img", "aria-label": name },
      tree.map(({ parent, accepted }, i) =>
        parent < 0 ? null : line(at[parent]!, at[i]!, accepted ? "taken" : "")
      ),
      bonus && last >= 0 ? line(at[last]!, drawn, "drawn") : null,
      tree.map(({ text, logprob, accepted, parent }, i) => {
        const kind = parent < 0 ? "root" : accepted ? "taken" : "left";
        const chance = parent < 0 ? "" : ` ${percent(logprob)}`;
        const title = parent < 0 ? `root: ${text}` : `${text}: ${percent(logprob)} for its path`;
        return box(at[i]!, kind, shown(text) + chance, title);
      }),
      bonus ? box(drawn, "drawn", shown(bonus.text), `drawn by the target: ${bonus.text}`) : null,
    ),
  );
}
