/** Where a step's packed tokens are drawn. Pure. @module */
import type { ShownStep } from "./trace.ts";

export const COLUMN = 118;
export const ROW = 44;
export const BOX = { width: 98, height: 36 };

export interface Place {
  x: number;
  y: number;
}

export type Kind = "root" | "taken" | "left" | "cut" | "drawn";

export interface Shown extends Place {
  kind: Kind;
  text: string;
  /** Index of the parent among the shown; -1 at the root. */
  parent: number;
  /** Of the path to it; the root and the bonus token are certain. */
  chance: number | undefined;
}

/** The drafted tree with the bonus token as one more child of where the walk stopped. */
export function shownTree(step: ShownStep, answer: string): Shown[] {
  let acceptedCount = 0, end = -1;
  const shown: Shown[] = step.tree.map(({ text, parent, logprob, accepted }, i) => {
    const place = { x: 0, y: 0, text, parent };
    if (parent < 0) {
      end = i;
      return { ...place, kind: "root", chance: undefined };
    }
    const chance = Math.exp(logprob);
    if (!accepted) return { ...place, kind: "left", chance };
    // The answer ended inside the accepted path: by a stop token or at its longest.
    if (acceptedCount === step.accepted_count) return { ...place, kind: "cut", chance };
    ++acceptedCount;
    end = i;
    return { ...place, kind: "taken", chance };
  });
  const bonus = step.tokens.findLast(({ origin }) => origin === "bonus");
  if (bonus !== undefined) {
    const text = answer.slice(bonus.start, bonus.end);
    shown.push({ x: 0, y: 0, text, parent: end, kind: "drawn", chance: undefined });
  }
  place(shown);
  return shown;
}

const ORDER: readonly Kind[] = ["root", "taken", "drawn", "cut", "left"];

/** What was kept runs straight along the top; leaves stand on rows of their own. */
function place(shown: Shown[]): void {
  const children: number[][] = shown.map(() => []);
  shown.forEach(({ parent }, i) => parent >= 0 && children[parent]!.push(i));
  const rank = (i: number) => ORDER.indexOf(shown[i]!.kind);
  let row = 0;
  const put = (index: number, depth: number) => {
    const own = children[index]!.sort((a, b) => rank(a) - rank(b) || a - b);
    Object.assign(shown[index]!, { x: depth * COLUMN, y: row * ROW });
    own.forEach((child, i) => {
      if (i > 0) ++row;
      put(child, depth + 1);
    });
  };
  if (shown.length > 0) put(0, 0);
}
