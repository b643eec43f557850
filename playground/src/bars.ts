/** How many tokens each step brought, as bars to choose a step by. @module */
import { h } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { chunksOf } from "./dom.ts";
import type { ShownStep } from "./trace.ts";

const BAR = { width: 9, unit: 7 };
/** Of the drawing alone: a step that brought more is drawn as this many. */
const TOKENS_DRAWN_MAX = 8;
const HEIGHT = TOKENS_DRAWN_MAX * BAR.unit;
/** Drawn once, as long as none of them is marked. */
const CHUNK_STEPS = 64;

type Choose = (step: number) => void;

function bar(step: ShownStep, index: number, isMarked: boolean, choose: Choose) {
  const countOf = (kind: string) => step.tokens.filter(({ origin }) => origin === kind).length;
  const bonusDrawn = Math.min(countOf("bonus"), TOKENS_DRAWN_MAX);
  const draft = Math.min(countOf("draft"), TOKENS_DRAWN_MAX - bonusDrawn) * BAR.unit;
  const bonus = bonusDrawn * BAR.unit;
  const x = index * BAR.width;
  const place = { x: x + 1, width: BAR.width - 2 };
  return h(
    "g",
    { key: index, class: isMarked ? "marked" : "", onClick: () => choose(index) },
    h("rect", { class: "back", x, y: 0, width: BAR.width, height: HEIGHT }),
    h("rect", { class: "bonus", ...place, y: HEIGHT - bonus, height: bonus }),
    h("rect", { class: "draft", ...place, y: HEIGHT - bonus - draft, height: draft }),
  );
}

interface ChunkProps {
  steps: readonly ShownStep[];
  /** Of the first of them. */
  first: number;
  marked: number;
  choose: Choose;
}

function BarChunk({ steps, first, marked, choose }: ChunkProps) {
  const own = marked >= first && marked < first + steps.length ? marked : undefined;
  return useMemo(
    () => h("g", null, steps.map((step, i) => bar(step, first + i, first + i === own, choose))),
    // An answer's steps never change: a longer list is a new one, and so is another first step.
    [steps[0], steps.length, own, choose],
  );
}

export function Bars({ steps, index, choose }: {
  steps: readonly ShownStep[];
  index: number;
  choose: Choose;
}) {
  const scroll = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const { current } = scroll;
    if (current) current.scrollLeft = (index + 1) * BAR.width - current.clientWidth / 2;
  }, [index]);
  const chunks = chunksOf(steps, CHUNK_STEPS);
  return h(
    "div",
    { class: "bars", ref: scroll },
    h(
      "svg",
      { width: steps.length * BAR.width, height: HEIGHT, "aria-hidden": "true" },
      chunks.map((steps, i) =>
        h(BarChunk, { key: i, steps, first: i * CHUNK_STEPS, marked: index, choose })
      ),
    ),
  );
}
