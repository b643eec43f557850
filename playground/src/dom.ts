/** Small parts that every view has. @module */
import { type ComponentChildren, h } from "preact";

export type Typed = {
  currentTarget: HTMLInputElement & HTMLSelectElement & HTMLTextAreaElement;
};

/** Said by screen readers, seen by nobody. */
export function Said({ text }: { text: string }) {
  return h("p", { class: "said", role: "status" }, text);
}

export function Button(props: {
  label: ComponentChildren;
  onClick: () => void;
  kind?: string;
  disabled?: boolean;
  title?: string;
  pressed?: boolean;
}) {
  const { label, onClick, kind, disabled, title, pressed } = props;
  return h(
    "button",
    { type: "button", class: kind, disabled, title, "aria-pressed": pressed, onClick },
    label,
  );
}

/** Visible whitespace, and no longer than a box is wide. */
export function tokenLabel(text: string, charsMax: number): string {
  const seen = text.replaceAll("\n", "\u21b5").replaceAll("\t", "\u21e5").replaceAll(" ", "\u2423");
  const chars = [...seen];
  return chars.length > charsMax ? `${chars.slice(0, charsMax - 1).join("")}\u2026` : seen;
}

export function percent(part: number, whole = 1): string {
  return whole === 0 ? "\u2013" : `${Math.round(100 * part / whole)} %`;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

export function chunksOf<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, i) => items.slice(i * size, (i + 1) * size));
}
