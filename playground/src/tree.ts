/** One step's drafted tree: what was proposed, how likely, what was kept. @module */
import { h } from "preact";
import { percent, tokenLabel } from "./dom.ts";
import type { ShownStep } from "./trace.ts";
import { BOX, COLUMN, type Kind, type Place, ROW, type Shown, shownTree } from "./tree_layout.ts";

const LABEL_CHARS_MAX = 11;
const MARGIN = 4;

const WORDS: Readonly<Record<Kind, string>> = {
  root: "the token before",
  taken: "accepted",
  left: "not accepted",
  cut: "accepted, after the answer's end",
  drawn: "drawn by the target model",
};

function wordsOf({ text, kind, chance }: Shown): string {
  const likely = chance === undefined ? "" : `, ${percent(chance)} for its path`;
  return `${JSON.stringify(text)}${likely}: ${WORDS[kind]}`;
}

function box(shown: Shown) {
  const { x, y, kind, text, chance } = shown;
  const bar = Math.max(1, Math.round((chance ?? 0) * (BOX.width - 12)));
  return h(
    "g",
    { class: kind, "data-text": text, transform: `translate(${x + MARGIN} ${y + MARGIN})` },
    h("title", null, wordsOf(shown)),
    h("rect", { class: "box", ...BOX, rx: 6 }),
    h("text", { x: 6, y: chance === undefined ? 22 : 15 }, tokenLabel(text, LABEL_CHARS_MAX)),
    chance === undefined ? null : [
      h(
        "text",
        { class: "chance", x: BOX.width - 6, y: 28, "text-anchor": "end" },
        percent(chance),
      ),
      h("rect", { class: "bar", x: 6, y: BOX.height - 6, width: bar, height: 2 }),
    ],
  );
}

function edge(from: Place, to: Shown) {
  const x = from.x + BOX.width + MARGIN, y = from.y + BOX.height / 2 + MARGIN;
  const endX = to.x + MARGIN, endY = to.y + BOX.height / 2 + MARGIN, middle = (x + endX) / 2;
  const d = `M${x} ${y} C${middle} ${y} ${middle} ${endY} ${endX} ${endY}`;
  return h("path", { class: to.kind, d });
}

export function TreeView({ step, answer }: { step: ShownStep; answer: string }) {
  const shown = shownTree(step, answer);
  const width = Math.max(0, ...shown.map(({ x }) => x)) + COLUMN;
  const height = Math.max(0, ...shown.map(({ y }) => y)) + ROW + MARGIN;
  return h(
    "div",
    { class: "tree", tabIndex: 0, role: "group", "aria-label": "Tree of the step" },
    h(
      "svg",
      { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
      shown.map((to) => to.parent < 0 ? null : edge(shown[to.parent]!, to)),
      shown.map(box),
    ),
    h("ul", { class: "said" }, shown.map((one) => h("li", null, wordsOf(one)))),
  );
}
