/** The OpenAPI 3.1 document of the HTTP surface: of the schemas that bodies are checked by, and of
 * those that a test holds answers against. Of bodies it cannot say all: `body_schema_test.ts` lists
 * the rules that readers add, such as two fields that must be equal. Pure. @module */
import { ANSWERS } from "./answer_schema.ts";
import {
  CHAT_REQUEST,
  COMPLETION_REQUEST,
  DETOKENIZE_REQUEST,
  RESPONSES_REQUEST,
  TOKENIZE_REQUEST,
} from "./api_schema.ts";
import { documented } from "./document_schema.ts";
import type { Schema } from "./schema.ts";

interface Operation {
  method: "get" | "post";
  path: string;
  summary: string;
  /** Open to whoever can connect, keys or not. */
  isPublic?: boolean;
  body?: { name: string; schema: Schema };
  /** The JSON of an answer, by its name in `ANSWERS`. */
  answer?: string;
  /** Another status that has the same JSON. */
  elseStatus?: { status: string; description: string };
  /** With `stream` true: what an event holds, and how the stream ends. */
  events?: { name: string; description: string };
  /** An answer that is not JSON: its content type, and what it is. */
  text?: { type: string; description: string };
  /** The connection becomes a WebSocket. */
  isUpgrade?: boolean;
}

const chunksOf = (name: string, what: string) => ({
  name,
  description:
    `Server-sent events, each \`data: \` and one ${name} as JSON: ${what}. The last is ` +
    "`data: [DONE]`. A stream that fails ends with an Error and `[DONE]`, never with a " +
    "finish_reason. Lines that begin with a colon are comments.",
});

export const OPERATIONS: readonly Operation[] = [
  {
    method: "post",
    path: "/v1/chat/completions",
    summary: "Answer a chat",
    body: { name: "ChatRequest", schema: CHAT_REQUEST },
    answer: "ChatCompletion",
    events: chunksOf("ChatCompletionChunk", "the answer's deltas"),
  },
  {
    method: "post",
    path: "/v1/completions",
    summary: "Continue a text",
    body: { name: "CompletionRequest", schema: COMPLETION_REQUEST },
    answer: "Completion",
    events: chunksOf("CompletionChunk", "the text's next part"),
  },
  {
    method: "post",
    path: "/v1/responses",
    summary: "Answer an input; nothing is kept",
    body: { name: "ResponsesRequest", schema: RESPONSES_REQUEST },
    answer: "Response",
    events: {
      name: "ResponseEvent",
      description: "Server-sent events, each `event: ` and its type, then `data: ` and one " +
        "ResponseEvent as JSON, numbered. The last is response.completed, response.incomplete or " +
        "response.failed. Lines that begin with a colon are comments.",
    },
  },
  {
    method: "post",
    path: "/tokenize",
    summary: "Tokens of a prompt or of messages",
    body: { name: "TokenizeRequest", schema: TOKENIZE_REQUEST },
    answer: "Tokens",
  },
  {
    method: "post",
    path: "/detokenize",
    summary: "Text of tokens",
    body: { name: "DetokenizeRequest", schema: DETOKENIZE_REQUEST },
    answer: "Text",
  },
  {
    method: "get",
    path: "/v1/models",
    summary: "Models that the key may use",
    answer: "ModelList",
  },
  { method: "get", path: "/v1/models/{id}", summary: "One model", answer: "Model" },
  {
    method: "get",
    path: "/v1/generate",
    summary: "A WebSocket that carries many generations",
    isUpgrade: true,
  },
  {
    method: "get",
    path: "/v1/capabilities",
    summary: "What this server can do, and its bounds",
    answer: "Capabilities",
  },
  {
    method: "get",
    path: "/v1/fleet",
    summary: "Nodes, slots, pages, queue and drafts, to watch",
    answer: "Fleet",
  },
  { method: "get", path: "/openapi.json", summary: "This document", answer: "Document" },
  {
    method: "get",
    path: "/healthz",
    summary: "The process runs",
    isPublic: true,
    answer: "Health",
  },
  {
    method: "get",
    path: "/readyz",
    summary: "It can serve",
    isPublic: true,
    answer: "Readiness",
    elseStatus: { status: "503", description: "It cannot serve now; `status` says why" },
  },
  {
    method: "get",
    path: "/metrics",
    summary: "Prometheus metrics",
    text: { type: "text/plain", description: "Prometheus' text format, version 0.0.4" },
  },
  page("/", "The playground", "text/html"),
  page("/playground.js", "Its program", "text/javascript"),
  page("/playground.css", "Its style", "text/css"),
  page("/playground.svg", "Its icon", "image/svg+xml"),
];

function page(path: string, summary: string, type: string): Operation {
  return { method: "get", path, summary, isPublic: true, text: { type, description: summary } };
}

const schemaRef = (name: string) => ({ $ref: `#/components/schemas/${name}` });

const ERROR_RESPONSE = {
  description: "What is wrong: a 4xx of the request, a 5xx of the server",
  content: { "application/json": { schema: schemaRef("Error") } },
};

export function openApiDocument(): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  const schemas: Record<string, unknown> = { ...ANSWERS };
  for (const operation of OPERATIONS) {
    const { body, method, path } = operation;
    if (body !== undefined) schemas[body.name] = documented(body.schema);
    paths[path] = { ...paths[path], [method]: operationObject(operation) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Redraft", version: "1", license: { name: "Apache-2.0" } },
    security: [{ key: [] }],
    paths,
    components: { schemas, securitySchemes: { key: { type: "http", scheme: "bearer" } } },
  };
}

function operationObject(operation: Operation): Record<string, unknown> {
  const { summary, path, body, isPublic } = operation;
  const names = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  return {
    summary,
    operationId: `${operation.method}${path.replace(/[^a-z]+/gi, "_")}`.replace(/_$/, ""),
    ...(isPublic ? { security: [] } : {}),
    ...(names.length === 0 ? {} : {
      parameters: names.map((name) => ({
        name,
        in: "path",
        required: true,
        schema: { type: "string" },
      })),
    }),
    ...(body === undefined ? {} : {
      requestBody: {
        required: true,
        content: { "application/json": { schema: schemaRef(body.name) } },
      },
    }),
    responses: responsesOf(operation),
  };
}

function responsesOf(operation: Operation): Record<string, unknown> {
  const { summary, answer, elseStatus, events, text, isUpgrade } = operation;
  if (isUpgrade) {
    return { "101": { description: "The WebSocket is open" }, default: ERROR_RESPONSE };
  }
  const content: Record<string, unknown> = {};
  if (answer !== undefined) content["application/json"] = { schema: schemaRef(answer) };
  if (events !== undefined) {
    const { name, description } = events;
    // OpenAPI 3.1 has no word for the type of an event: 3.2's `itemSchema` as an extension.
    content["text/event-stream"] = {
      schema: { type: "string", description },
      "x-itemSchema": schemaRef(name),
    };
  }
  if (text !== undefined) {
    content[text.type] = { schema: { type: "string", description: text.description } };
  }
  return {
    "200": { description: summary, content },
    ...(elseStatus === undefined ? {} : {
      [elseStatus.status]: { description: elseStatus.description, content },
    }),
    default: ERROR_RESPONSE,
  };
}
