/** `GET /openapi.json` and `GET /v1/capabilities`: what this server is. @module */
import { SCHEMA_KEYWORDS } from "../../proto/schema_keywords.ts";
import { TEXT_FORMATS } from "../../proto/text_formats.ts";
import { mayUse } from "../auth.ts";
import * as bounds from "../bounds.ts";
import { openApiDocument } from "../openapi.ts";
import { Reply } from "../reply.ts";
import { PRIVATE, type Route } from "./route.ts";

const DOCUMENT = JSON.stringify(openApiDocument());
const DOCUMENT_HEADERS = {
  ...PRIVATE,
  "content-type": "application/json",
  // The same for every key, until another version is started.
  "cache-control": "private, max-age=300",
};

export const openApiRoute: Route = {
  method: "GET",
  path: "/openapi.json",
  scope: "key",
  handle: () => new Reply(DOCUMENT, { headers: DOCUMENT_HEADERS }),
};

export const capabilitiesRoute: Route = {
  method: "GET",
  path: "/v1/capabilities",
  scope: "key",
  handle: ({ services, principal }) =>
    Reply.json(
      {
        object: "capabilities",
        features: {
          streaming: true,
          websocket: true,
          responses: "stateless",
          logprobs: true,
          seed: "bit-exact",
          speculation: true,
          answer_cache: true,
          prefix_cache: true,
          failover: "token-exact",
          tools: ["function"],
          tool_choice: ["none", "auto", "required", "named"],
          response_formats: ["text", "json_object", "json_schema"],
          schema_keywords: SCHEMA_KEYWORDS,
          schema_string_formats: Object.keys(TEXT_FORMATS),
          modalities: ["text"],
        },
        bounds: {
          body_bytes: services.options.bodyBytesMax,
          choices: bounds.CHOICES_MAX,
          messages: bounds.MESSAGES_MAX,
          stop_strings: bounds.STOP_STRINGS_MAX,
          stop_chars: bounds.STOP_CHARS_MAX,
          top_logprobs: bounds.TOP_LOGPROBS_MAX,
          tools: bounds.TOOLS_MAX,
        },
        models: [...services.pool.models].filter(({ card }) => mayUse(principal, card.id)).map(
          ({ card }) => ({
            id: card.id,
            max_model_len: card.contextMax,
            draft_head: card.headDigest !== "",
          }),
        ),
      },
      { headers: PRIVATE },
    ),
};
