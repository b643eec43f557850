/** Chat templates that put messages' contents where they belong and do no more with them, as most
 * do: what stands around the contents then depends on the roles alone. It is rendered once for each
 * sequence of roles; a prompt is then a joining of texts, at a tenth of the cost. Pure. @module */
import type { Template } from "@huggingface/jinja";
import type { MessageValue } from "./template_values.ts";

type Program = Template["parsed"];

const MESSAGES_MAX = 64;
/** Sequences of roles that are held. */
const ENTRIES_MAX = 64;
/** Contents that a prompt may hold for each message: what a template may make of a text is bounded
 * by eight times its length. */
const COPIES_MAX = 8;
/** Around the number of a message, where its content is to stand. */
const OPEN = "\ue000";
const CLOSE = "\ue001";
const PLACE = new RegExp(`${OPEN}(\\d+)${CLOSE}`);

/** Of `loop`: what tells of no message. */
const LOOP_FIELDS = new Set([
  "first",
  "last",
  "index",
  "index0",
  "revindex",
  "revindex0",
  "length",
]);
/** Whose parts may be anything that has no content. */
const PLAIN_NODES = new Set([
  ...["ArrayLiteral", "BinaryExpression", "Break", "Comment", "Continue", "FilterExpression"],
  ...["FloatLiteral", "IntegerLiteral", "SliceExpression", "StringLiteral", "TestExpression"],
  ...["TupleLiteral", "UnaryExpression"],
]);

/** Texts at even places; at odd ones, numbers of messages. */
type Pieces = readonly (string | number)[];

export class TemplatePieces {
  readonly #isVerbatim: boolean;
  /** Insertion order is use: the first is the least recently used. */
  readonly #entries = new Map<string, Pieces>();

  constructor(program: Program, source: string) {
    this.#isVerbatim = !source.includes(OPEN) && isVerbatim(program);
  }

  /** What `render(messages)` gives. */
  render(
    messages: readonly MessageValue[],
    scope: string,
    render: (messages: MessageValue[]) => string,
  ): string {
    const isFit = this.#isVerbatim && messages.length <= MESSAGES_MAX &&
      messages.every((m) => m.tool_calls === undefined && m.tool_call_id === undefined);
    if (!isFit) return render([...messages]);
    let key = scope;
    for (const { role } of messages) key += ` ${role}`;
    let pieces = this.#entries.get(key);
    if (pieces === undefined) {
      pieces = split(render(messages.map(({ role }, i) => ({ role, content: place(i) }))));
      if (!isUsable(pieces, messages.length)) return render([...messages]);
      if (this.#entries.size >= ENTRIES_MAX) {
        this.#entries.delete(this.#entries.keys().next().value!);
      }
    } else this.#entries.delete(key);
    this.#entries.set(key, pieces);
    let prompt = "";
    for (const piece of pieces) {
      prompt += typeof piece === "string" ? piece : messages[piece]!.content;
    }
    return prompt;
  }
}

function place(index: number): string {
  return `${OPEN}${index}${CLOSE}`;
}

function split(prompt: string): Pieces {
  return prompt.split(PLACE).map((part, i) => i % 2 === 0 ? part : Number(part));
}

/** A model's own special tokens may hold what looks like a place. */
function isUsable(pieces: Pieces, messageCount: number): boolean {
  return pieces.length <= 2 * COPIES_MAX * messageCount &&
    pieces.every((piece) => typeof piece === "string" || piece < messageCount);
}

// deno-lint-ignore no-explicit-any -- nodes of the library's tree, whose classes it hides.
type Node = any;

/** Whether contents of messages reach the prompt as they are, and nothing else depends on them. */
export function isVerbatim(program: Program): boolean {
  const items = new Set<string>();
  findItems(program, items);
  return (program as Node).body.every((node: Node) => isFree(node, items, true));
}

/** Names under which loops have messages. */
function findItems(node: Node, items: Set<string>): void {
  if (typeof node !== "object" || node === null) return;
  if (node.type === "For" && isMessages(node.iterable)) items.add(node.loopvar.value);
  for (const part of Object.values(node)) findItems(part, items);
}

function isMessages(node: Node): boolean {
  return node?.type === "Identifier" && node.value === "messages";
}

/** @param isShown What the node comes to is written into the prompt as it is, so that it may be a
 * content. */
function isFree(node: Node, items: ReadonlySet<string>, isShown: boolean): boolean {
  const all = (nodes: Node[], shown: boolean) => nodes.every((part) => isFree(part, items, shown));
  switch (node.type) {
    case "If":
      return isFree(node.test, items, false) && all([...node.body, ...node.alternate], isShown);
    case "For":
      if (node.loopvar.type !== "Identifier" || node.loopvar.value === "messages") return false;
      return (isMessages(node.iterable) || isFree(node.iterable, items, false)) &&
        all([...node.body, ...node.defaultBlock], isShown);
    case "Set":
      return node.assignee.type === "Identifier" && !isOfMessages(node.assignee, items) &&
        all(node.value ? [node.value] : node.body, false);
    case "Ternary":
      return isFree(node.condition, items, false) && all([node.trueExpr, node.falseExpr], isShown);
    case "Identifier":
      return !isOfMessages(node, items);
    case "MemberExpression":
      return isFreeMember(node, items, isShown);
    case "CallExpression": // Of what a template may call, this alone gives always the same.
      return node.callee.value === "raise_exception" && all(node.args, false);
    case "BinaryExpression": {
      const isJoined = node.operator.value === "+" || node.operator.value === "~";
      return all([node.left, node.right], isShown && isJoined);
    }
    default:
      return PLAIN_NODES.has(node.type) && all(partsOf(node), false);
  }
}

function isOfMessages(node: Node, items: ReadonlySet<string>): boolean {
  return ["messages", "loop"].includes(node.value) || items.has(node.value);
}

function isFreeMember(node: Node, items: ReadonlySet<string>, isShown: boolean): boolean {
  const { object, property, computed } = node;
  const name = !computed || property.type === "StringLiteral" ? property.value : undefined;
  if (object.type === "Identifier" && object.value === "loop") return LOOP_FIELDS.has(name);
  if (isMessage(object, items)) {
    return typeof name === "string" && (name !== "content" || isShown);
  }
  return isFree(object, items, false) && (!computed || isFree(property, items, false));
}

/** `message`, `messages[0]`, `messages[-1]`. */
function isMessage(node: Node, items: ReadonlySet<string>): boolean {
  if (node.type === "Identifier") return items.has(node.value);
  if (node.type !== "MemberExpression" || !isMessages(node.object)) return false;
  const index = node.property.type === "UnaryExpression" ? node.property.argument : node.property;
  return index.type === "IntegerLiteral";
}

/** Nodes among the fields of a node. */
function partsOf(node: Node): Node[] {
  const parts = Object.entries(node).filter(([name]) => name !== "operator").flatMap(([, part]) =>
    part
  );
  return parts.filter((part: Node) => typeof part?.type === "string");
}
