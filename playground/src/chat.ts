/** The chat: turns that can be edited, and the place to write. @module */
import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { AnswerView, Legend, paceWords } from "./answer_view.ts";
import type { Conversation, Turn } from "./conversation.ts";
import { Button, Said, type Typed } from "./dom.ts";

interface ChatProps {
  conversation: Conversation;
  marked: number | undefined;
  choose: (step: number) => void;
  children?: unknown;
}

const EXAMPLES = [
  "Name three rivers.",
  "Write a haiku about rivers.",
  "Count from one to twenty in words.",
];

interface WriteProps {
  label: string;
  first: string;
  text: string;
  change: (text: string) => void;
  send: () => void;
  onKey?: (event: KeyboardEvent) => void;
}

/** Enter sends, Shift+Enter breaks the line; an input method's Enter does neither. */
function Writer({ label, first, text, change, send, onKey }: WriteProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (first !== "draft") area.current?.focus();
  }, []);
  return h(
    "label",
    null,
    label,
    h("textarea", {
      id: first,
      ref: area,
      rows: 2,
      value: text,
      onInput: (e: Typed) => change(e.currentTarget.value),
      onKeyDown: (event: KeyboardEvent) => {
        onKey?.(event);
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        send();
      },
    }),
  );
}

function Editor({ turn, save, leave }: {
  turn: Turn;
  save: (text: string) => void;
  leave: () => void;
}) {
  const [text, setText] = useState(turn.content);
  const send = () => text.trim() !== "" && save(text);
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    leave();
  };
  return h(
    "div",
    null,
    h(Writer, { label: "Edit your message", first: "edit", text, change: setText, send, onKey }),
    h(
      "div",
      { class: "row" },
      h(Button, { label: "Send again", kind: "first", onClick: send }),
      h(Button, { label: "Cancel", onClick: leave }),
    ),
  );
}

function UserTurn({ turn, index, conversation }: {
  turn: Turn;
  index: number;
  conversation: Conversation;
}) {
  const [editing, setEditing] = useState(false);
  const { busy, say } = conversation;
  const save = (text: string) => {
    setEditing(false);
    say(text, index);
  };
  return h(
    "div",
    { class: "message user" },
    h("h3", null, "You"),
    editing ? h(Editor, { turn, save, leave: () => setEditing(false) }) : [
      h("div", { class: "text" }, turn.content),
      busy ? null : h(Button, { label: "Edit", kind: "small", onClick: () => setEditing(true) }),
    ],
  );
}

function ModelTurn({ turn, isLast, props }: { turn: Turn; isLast: boolean; props: ChatProps }) {
  const { content, progress, note, isBad } = turn;
  const { conversation, marked, choose } = props;
  const { busy, turns, say } = conversation;
  const again = () => say(turns.at(-2)!.content, turns.length - 2);
  const waits = isLast && busy;
  return h(
    "div",
    { class: "message model", "aria-busy": waits },
    h("h3", null, "Model"),
    progress
      ? h(AnswerView, isLast ? { progress, marked, choose } : { progress })
      : waits
      ? h("p", { class: "quiet" }, "\u2026")
      : null,
    note === undefined ? null : h("p", { class: isBad ? "bad" : "quiet", role: "note" }, note),
    h(
      "div",
      { class: "row" },
      progress ? h("span", { class: "quiet pace" }, paceWords(progress)) : null,
      waits || content === "" ? null : h(Button, {
        label: "Copy",
        kind: "small",
        onClick: () => navigator.clipboard?.writeText(content).catch(() => {}),
      }),
      isLast && !busy ? h(Button, { label: "Try again", kind: "small", onClick: again }) : null,
    ),
  );
}

/** Scrolls `box` alone, never the page: who steps through a tree stays with it. */
function reveal(box: HTMLElement, token: HTMLElement): void {
  const top = token.getBoundingClientRect().top - box.getBoundingClientRect().top;
  const isSeen = top >= 0 && top + token.offsetHeight <= box.clientHeight;
  if (!isSeen) box.scrollTop += top - box.clientHeight / 2;
}

function Turns(props: ChatProps) {
  const { marked, conversation } = props;
  const { turns } = conversation;
  const end = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const seenAt = useRef(0);
  useEffect(() => {
    const { current } = end;
    if (current && follows.current) current.scrollTop = current.scrollHeight;
  });
  useEffect(() => {
    follows.current = marked === undefined;
    const token = end.current?.querySelector<HTMLElement>(".marked");
    if (token) reveal(end.current!, token);
  }, [marked]);
  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = end.current!;
    // Who scrolls up to read is left there; an answer that grew meanwhile is not that.
    if (scrollTop < seenAt.current) follows.current = false;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < 40;
    if (isAtEnd && marked === undefined) follows.current = true;
    seenAt.current = scrollTop;
  };
  return h(
    "div",
    {
      class: "turns",
      ref: end,
      onScroll,
      tabIndex: 0,
      role: "group",
      "aria-label": "Conversation",
    },
    turns.map((turn, i) =>
      turn.role === "user"
        ? h(UserTurn, { key: i, turn, index: i, conversation })
        : h(ModelTurn, { key: i, turn, isLast: i === turns.length - 1, props })
    ),
  );
}

function Examples({ choose }: { choose: (text: string) => void }) {
  return h(
    "div",
    { class: "examples" },
    h("p", { class: "quiet" }, "Ask something, or try:"),
    EXAMPLES.map((text) => h(Button, { key: text, label: text, onClick: () => choose(text) })),
  );
}

export function ChatView(props: ChatProps) {
  const { conversation, children } = props;
  const { turns, busy, said, say, stop, clear } = conversation;
  const [draft, setDraft] = useState("");
  const send = () => {
    if (draft.trim() === "" || busy) return;
    setDraft("");
    say(draft, turns.length);
  };
  return h(
    "section",
    {
      class: "chat",
      "aria-label": "Chat",
      onKeyDown: (event: KeyboardEvent) => event.key === "Escape" && stop(),
    },
    h("h2", { class: "said" }, "Chat"),
    turns.length === 0
      ? h(Examples, { choose: (text) => say(text, 0) })
      : h(Turns, { ...props, key: "turns" }),
    h(Said, { text: said }),
    children as null,
    h(Writer, { label: "Message", first: "draft", text: draft, change: setDraft, send }),
    h(
      "div",
      { class: "row" },
      busy
        ? h(Button, { label: "Stop", kind: "first", onClick: stop, title: "Escape" })
        : h(Button, { label: "Send", kind: "first", onClick: send, title: "Enter" }),
      turns.length > 0 ? h(Button, { label: "New chat", onClick: clear }) : null,
      h(Legend, null),
    ),
  );
}
