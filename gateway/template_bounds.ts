/** What a chat template may take. It comes with a model file, a file may be hostile, and whatever
 * it takes, every other request waits for: a thread of its own would not help, as Deno's
 * `Worker.terminate()` does not end one that computes.
 *
 * So time is bounded between the nodes of a template, and what any one of them can do, by the sizes
 * of what it is given: of a text, of all that hangs on a value, and of the product of an operand
 * and its arguments (a replacement, a separator, an indent). @module */
import { type Environment, Interpreter, type Template } from "@huggingface/jinja";

type Node = Parameters<Interpreter["evaluate"]>[0];
type Value = ReturnType<Interpreter["evaluate"]>;
type Program = Template["parsed"];

/** Items of one list or mapping: more than the messages that a request may have. */
const ITEMS_MAX = 1 << 14;
/** Values that hang on one, a text counting once for each of so many characters. */
const WEIGHT_MAX = 1 << 20;
const CHARS_PER_WEIGHT = 16;
/** Characters of an operand times those of its arguments, ... */
const PRODUCT_MAX = 1 << 24;
/** ... which may have so many whatever the operand has. */
const ARGUMENT_CHARS_FREE = 32;
const NAMESPACE_ITEMS_MAX = 64;
/** Steps between looks at the clock. */
const STEPS_PER_LOOK = 16;

/** Of one prompt, growing with what the client sent. */
export interface TemplateBounds {
  textChars: number;
  timeMs: number;
}

/** @param inputCount Texts that the client sent, of `inputChars` together. */
export function boundsFor(inputCount: number, inputChars: number): TemplateBounds {
  return {
    textChars: Math.min((1 << 16) + 1024 * inputCount + 8 * inputChars, 1 << 26),
    timeMs: Math.min(20 + inputCount / 32 + inputChars / (1 << 15), 100),
  };
}

/** The template takes more time than a prompt gets. */
export class TemplateTimeError extends RangeError {
  override readonly name = "TemplateTimeError";
}

export interface TemplateClock {
  now(): number;
  /** What this process has computed so far: a busy machine is not the template's fault. */
  cpuMs(): number;
}

interface Part {
  /** By its number. */
  operation: number;
  isOperand: boolean;
}

/** Where operations stand in a template whose cost is a product; found once. */
export class TemplateShape {
  readonly parts = new WeakMap<object, Part>();
  readonly callees = new WeakSet<object>();
  /** Of the longest operands, by operation: those that are not seen may be as long as any. */
  readonly operandChars: number[] = [];

  constructor(program: Program) {
    this.#walk(program);
  }

  #walk(node: unknown): void {
    if (typeof node !== "object" || node === null) return;
    if (Array.isArray(node)) return node.forEach((item) => this.#walk(item));
    if (node instanceof Map) {
      for (const entry of node) this.#walk(entry);
      return;
    }
    // deno-lint-ignore no-explicit-any -- nodes of the library's tree, whose classes it hides.
    const { type, callee, args, filter, operand, operator, left, right } = node as any;
    if (type === "CallExpression") {
      this.callees.add(callee);
      if (callee.type === "MemberExpression") this.#add(callee.object, args);
    } else if (type === "FilterExpression") this.#add(operand, filter.args ?? []);
    else if (type === "FilterStatement") this.#add(undefined, filter.args ?? []);
    else if (type === "BinaryExpression" && /in$/.test(operator.value)) this.#add(right, [left]);
    Object.values(node).forEach((part) => this.#walk(part));
  }

  #add(operand: object | undefined, values: readonly object[]): void {
    const operation = this.operandChars.push(operand === undefined ? PRODUCT_MAX : 0) - 1;
    if (operand !== undefined) this.parts.set(operand, { operation, isOperand: true });
    for (const value of values) {
      // deno-lint-ignore no-explicit-any -- as above.
      const { type, value: named, argument } = value as any;
      const own = type === "KeywordArgumentExpression" ? named : argument ?? value;
      this.parts.set(own, { operation, isOperand: false });
    }
  }
}

export class BoundedInterpreter extends Interpreter {
  readonly #shape: TemplateShape;
  readonly #bounds: TemplateBounds;
  readonly #clock: TemplateClock;
  readonly #startedAt: number;
  /** At half of its time. */
  #cpuMs: number | undefined;
  /** Of what does not change any more. */
  readonly #weights = new WeakMap<object, number>();
  /** The longest so far, by operation: in a recursion one may stand within its own. */
  readonly #operandChars: number[];
  readonly #argumentChars: number[];
  #steps = 0;

  constructor(
    environment: Environment,
    shape: TemplateShape,
    bounds: TemplateBounds,
    clock: TemplateClock,
  ) {
    super(environment);
    this.#shape = shape;
    this.#bounds = bounds;
    this.#clock = clock;
    this.#operandChars = [...shape.operandChars];
    this.#argumentChars = shape.operandChars.map(() => 0);
    this.#startedAt = clock.now();
  }

  override evaluate(node: Node, environment: Environment): Value {
    if (++this.#steps % STEPS_PER_LOOK === 0) this.#look();
    const value = super.evaluate(node, environment);
    this.#check(node, value, environment);
    return value;
  }

  #look(): void {
    const { timeMs } = this.#bounds;
    if (this.#clock.now() - this.#startedAt <= timeMs / 2) return;
    const cpuMs = this.#clock.cpuMs();
    this.#cpuMs ??= cpuMs;
    if (cpuMs - this.#cpuMs <= timeMs / 2) return;
    throw new TemplateTimeError(`it takes more than ${Math.round(timeMs)} ms`);
  }

  #check(node: Node, value: Value, environment: Environment): void {
    if (node === undefined) return;
    const content: unknown = value.value;
    let chars = 0;
    if (typeof content === "string") {
      chars = content.length;
      const { textChars } = this.#bounds;
      if (chars > textChars) {
        throw new RangeError(`it makes a text of over ${textChars} characters`);
      }
    } else if (value.type === "NamespaceValue") this.#checkNamespace(content);
    else if (typeof content === "object" && content !== null) {
      chars = this.#weigh(value) * CHARS_PER_WEIGHT;
    } else if (typeof content === "number") chars = Math.min(Math.abs(content), PRODUCT_MAX);
    else if (node.type === "MemberExpression" && typeof content === "function") {
      if (!this.#shape.callees.has(node)) checkMethod(node);
    } else if (node.type === "Set") this.#checkSet(node, environment);
    const part = this.#shape.parts.get(node);
    if (part !== undefined) this.#checkProduct(part, chars);
  }

  /** All that hangs on a value. What one printing of it costs grows with that, and lists that hold
   * one another several times make it grow exponentially. */
  #weigh(value: Value): number {
    const content: unknown = value.value;
    if (typeof content === "string") return 1 + content.length / CHARS_PER_WEIGHT;
    if (typeof content !== "object" || content === null) return 1;
    // It may still grow, unseen.
    if (value.type === "NamespaceValue") throw new RangeError("it puts a namespace into a value");
    const known = this.#weights.get(content);
    if (known !== undefined) return known;
    const items = content instanceof Map ? content.values() : content as Value[];
    const count = content instanceof Map ? content.size : (content as Value[]).length;
    if (count > ITEMS_MAX) throw new RangeError(`it makes a list of ${count} items`);
    let weight = 1;
    for (const item of items) weight += this.#weigh(item);
    if (weight > WEIGHT_MAX) throw new RangeError("it makes too large a value");
    this.#weights.set(content, weight);
    return weight;
  }

  #checkProduct({ operation, isOperand }: Part, chars: number): void {
    const most = isOperand ? this.#operandChars : this.#argumentChars;
    if (chars > most[operation]!) most[operation] = chars;
    const argumentChars = this.#argumentChars[operation]!;
    if (argumentChars <= ARGUMENT_CHARS_FREE) return;
    const operandChars = this.#operandChars[operation]!;
    if (operandChars * argumentChars > PRODUCT_MAX) {
      throw new RangeError(`it applies ${argumentChars} characters to ${operandChars}`);
    }
  }

  #checkNamespace(content: unknown): void {
    const items = content as Map<string, Value>;
    if (items.size > NAMESPACE_ITEMS_MAX) throw new RangeError("it makes too large a namespace");
    let weight = 0;
    for (const item of items.values()) weight += this.#weigh(item);
    if (weight > WEIGHT_MAX) throw new RangeError("it makes too large a value");
  }

  /** `set name.field = ..`, which changes a namespace. */
  #checkSet(node: Node, environment: Environment): void {
    // deno-lint-ignore no-explicit-any -- as above.
    const { assignee } = node as any;
    if (assignee.type !== "MemberExpression") return;
    if (assignee.object.type !== "Identifier") throw new RangeError("it sets a field of no name");
    this.#checkNamespace(environment.lookupVariable(assignee.object.value).value);
  }
}

/** Under another name its operand would not be seen. Methods of mappings may be looked at: a field
 * that is missing reads as one. */
function checkMethod(node: Node): void {
  // deno-lint-ignore no-explicit-any -- as above.
  const name = (node as any).property.value;
  if (typeof name !== "string" || name === "replace" || name === "split") {
    throw new RangeError("it takes a method as a value");
  }
}
