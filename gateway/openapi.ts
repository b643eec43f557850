/** The OpenAPI 3.1 document of the HTTP surface, made of the schemas that bodies are checked by.
 * Pure. @module */
import {
  CHAT_PROPERTIES,
  COMPLETION_PROPERTIES,
  DETOKENIZE_PROPERTIES,
  type Properties,
  RESPONSES_PROPERTIES,
  TOKENIZE_PROPERTIES,
} from "./api_schema.ts";

interface Operation {
  method: "get" | "post";
  path: string;
  summary: string;
  /** Open to whoever can connect, keys or not. */
  isPublic?: boolean;
  body?: { name: string; properties: Properties; required: readonly string[] };
  /** What an answer is, beside JSON. */
  contentTypes?: readonly string[];
}

const SSE = "text/event-stream";

export const OPERATIONS: readonly Operation[] = [
  {
    method: "post",
    path: "/v1/chat/completions",
    summary: "Answer a chat",
    body: { name: "ChatRequest", properties: CHAT_PROPERTIES, required: ["model", "messages"] },
    contentTypes: ["application/json", SSE],
  },
  {
    method: "post",
    path: "/v1/completions",
    summary: "Continue a text",
    body: {
      name: "CompletionRequest",
      properties: COMPLETION_PROPERTIES,
      required: ["model", "prompt"],
    },
    contentTypes: ["application/json", SSE],
  },
  {
    method: "post",
    path: "/v1/responses",
    summary: "Answer an input; nothing is kept",
    body: {
      name: "ResponsesRequest",
      properties: RESPONSES_PROPERTIES,
      required: ["model", "input"],
    },
    contentTypes: ["application/json", SSE],
  },
  {
    method: "post",
    path: "/tokenize",
    summary: "Tokens of a prompt or of messages",
    body: { name: "TokenizeRequest", properties: TOKENIZE_PROPERTIES, required: ["model"] },
  },
  {
    method: "post",
    path: "/detokenize",
    summary: "Text of tokens",
    body: {
      name: "DetokenizeRequest",
      properties: DETOKENIZE_PROPERTIES,
      required: ["model", "tokens"],
    },
  },
  { method: "get", path: "/v1/models", summary: "Models that the key may use" },
  { method: "get", path: "/v1/models/{id}", summary: "One model" },
  { method: "get", path: "/v1/generate", summary: "A WebSocket that carries many generations" },
  { method: "get", path: "/v1/capabilities", summary: "What this server can do, and its bounds" },
  { method: "get", path: "/v1/fleet", summary: "Nodes, slots, pages, queue and drafts, to watch" },
  { method: "get", path: "/openapi.json", summary: "This document" },
  { method: "get", path: "/healthz", summary: "The process runs", isPublic: true },
  { method: "get", path: "/readyz", summary: "It can serve", isPublic: true },
  {
    method: "get",
    path: "/metrics",
    summary: "Prometheus metrics",
    contentTypes: ["text/plain"],
  },
  {
    method: "get",
    path: "/",
    summary: "The playground",
    isPublic: true,
    contentTypes: ["text/html"],
  },
  {
    method: "get",
    path: "/playground.js",
    summary: "Its program",
    isPublic: true,
    contentTypes: ["text/javascript"],
  },
  {
    method: "get",
    path: "/playground.css",
    summary: "Its style",
    isPublic: true,
    contentTypes: ["text/css"],
  },
  {
    method: "get",
    path: "/playground.svg",
    summary: "Its icon",
    isPublic: true,
    contentTypes: ["image/svg+xml"],
  },
];

const ERROR = { $ref: "#/components/schemas/Error" };
const ERROR_RESPONSE = {
  description: "What is wrong: a 4xx of the request, a 5xx of the server",
  content: { "application/json": { schema: ERROR } },
};

export function openApiDocument(): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  const schemas: Record<string, unknown> = {
    Error: {
      type: "object",
      required: ["error"],
      properties: {
        error: {
          type: "object",
          required: ["message", "type", "param", "code"],
          properties: {
            message: { type: "string" },
            type: { type: "string" },
            param: { type: ["string", "null"] },
            code: { type: ["string", "null"] },
          },
        },
      },
    },
  };
  for (const operation of OPERATIONS) {
    const { body, method, path } = operation;
    if (body !== undefined) {
      const { properties, required } = body;
      schemas[body.name] = { type: "object", properties, required, additionalProperties: false };
    }
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
  const { summary, path, body, isPublic, contentTypes = ["application/json"] } = operation;
  const content = Object.fromEntries(contentTypes.map((type) => [type, {}]));
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
        content: { "application/json": { schema: { $ref: `#/components/schemas/${body.name}` } } },
      },
    }),
    responses: { "200": { description: "Done", content }, default: ERROR_RESPONSE },
  };
}
