/** Messages of a chat and items of a Responses input, as schemas. Pure. @module */
import { ID_CHARS_MAX, MADE_CALLS_MAX, MESSAGES_MAX, PARTS_MAX, TEXT_CHARS_MAX } from "./bounds.ts";
import {
  anything,
  closed,
  isAbsent,
  list,
  oneOf,
  open,
  type Properties,
  refused,
  type Schema,
  text,
} from "./schema.ts";

const id = text(ID_CHARS_MAX);
const longText = text(TEXT_CHARS_MAX);

/** A string, or text parts, which may carry fields that we do not read. */
function contentOf(...types: string[]): Schema {
  const part = open({ type: { ...oneOf(...types), refusal: "" }, text: longText }, [
    "type",
    "text",
  ]);
  return { anyOf: [longText, list(part, PARTS_MAX)] };
}

const CALL = closed({
  id,
  type: { ...oneOf("function"), refusal: "" },
  function: open({ name: id, arguments: longText }, ["name", "arguments"]),
  index: anything,
}, ["id", "function"]);

/** Libraries write an answer's parts out with fields that nobody set, under names of their own. */
function sentBack(properties: Properties, required: readonly string[]): Schema {
  return { ...closed(properties, required), additionalProperties: { type: "null" } };
}

const ELSEWHERE = "only an assistant's message has it";
const message = (roles: readonly string[], own: Properties, required: readonly string[]) =>
  sentBack({
    role: oneOf(...roles),
    content: contentOf("text"),
    name: id,
    // What an assistant's message carries when a client sends an answer of ours back.
    refusal: anything,
    annotations: anything,
    parsed: anything,
    audio: refused(),
    function_call: refused("use 'tool_calls'"),
    tool_calls: { type: "array", maxItems: 0, refusal: ELSEWHERE },
    tool_call_id: refused("only a tool's message has it"),
    ...own,
  }, ["role", ...required]);

export const MESSAGES: Schema = list(
  {
    tag: "role",
    anyOf: [
      message(["system", "developer", "user"], {}, ["content"]),
      {
        ...message(["assistant"], { tool_calls: list(CALL, MADE_CALLS_MAX) }, []),
        rules: [{
          not: { properties: { content: isAbsent, tool_calls: { maxItems: 0 } } },
          param: "content",
          code: "missing",
          message: "An assistant's message has content or tool_calls.",
        }],
      },
      message(["tool"], { tool_call_id: id }, ["tool_call_id", "content"]),
    ],
  },
  MESSAGES_MAX,
  1,
);

const INPUT_CONTENT = contentOf("input_text", "output_text");
/** What an item of an earlier answer carries too. */
const MARKS: Properties = { id: anything, status: anything };

/** Messages, calls of functions and their outputs, as a client writes them or an answer of ours
 * had them. */
export const INPUT: Schema = {
  anyOf: [
    longText,
    list(
      {
        tag: "type",
        refusal: "",
        anyOf: [
          sentBack({
            type: oneOf("message"),
            ...MARKS,
            role: oneOf("system", "developer", "user", "assistant"),
            content: INPUT_CONTENT,
          }, ["role", "content"]),
          sentBack({
            type: oneOf("function_call"),
            ...MARKS,
            call_id: id,
            name: id,
            arguments: longText,
            parsed_arguments: anything,
          }, ["type", "call_id", "name", "arguments"]),
          sentBack({
            type: oneOf("function_call_output"),
            ...MARKS,
            call_id: id,
            output: INPUT_CONTENT,
          }, ["type", "call_id", "output"]),
        ],
      },
      MESSAGES_MAX,
      1,
    ),
  ],
};
