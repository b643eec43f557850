/** The API key, asked for where the gateway wants one. @module */
import { h } from "preact";
import { useState } from "preact/hooks";
import { useKey } from "./ask.ts";
import type { Typed } from "./dom.ts";

interface KeyProps {
  /** What the gateway said of the key that it got, or of none. */
  problem: string;
  retry: () => void;
}

export function KeyView({ problem, retry }: KeyProps) {
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState("");
  const use = () => {
    const taken = useKey(text);
    setWrong(taken ? "" : "A key has printable ASCII characters alone.");
    if (taken) retry();
  };
  return h(
    "form",
    {
      class: "key",
      "aria-label": "API key",
      onSubmit: (event: Event) => {
        event.preventDefault();
        use();
      },
    },
    h("p", { class: "bad", role: "alert" }, wrong || problem),
    h(
      "label",
      null,
      "API key of this gateway (kept in this page alone)",
      h("input", {
        type: "password",
        id: "key",
        autocomplete: "off",
        value: text,
        onInput: (e: Typed) => setText(e.currentTarget.value),
      }),
    ),
    h("button", { type: "submit", class: "first" }, "Use this key"),
  );
}
