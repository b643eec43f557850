/** `GET /v1/models` and `GET /v1/models/{id}`. @module */
import { mayUse } from "../auth.ts";
import { modelNotFound } from "../errors.ts";
import type { ServedModel } from "../served_model.ts";
import { Reply } from "../reply.ts";
import { PRIVATE, type Route } from "./route.ts";

export const modelsRoute: Route = {
  method: "GET",
  path: "/v1/models",
  scope: "key",
  handle: ({ services, principal }) => {
    const models = [...services.pool.models].filter(({ card }) => mayUse(principal, card.id));
    const data = models.map(modelJson);
    return Reply.json({ object: "list", data }, { headers: PRIVATE });
  },
};

export const modelRoute: Route = {
  method: "GET",
  path: "/v1/models/:id{.+}", // A model's id may hold slashes.
  scope: "key",
  handle: ({ param, services, principal }) => {
    const id = param("id") ?? "";
    const model = services.pool.model(id);
    if (model === undefined || !mayUse(principal, id)) {
      throw modelNotFound(id.slice(0, 256).toWellFormed(), services.pool.models);
    }
    return Reply.json(modelJson(model), { headers: PRIVATE });
  },
};

/** OpenAI's four fields, then what clients of vLLM and llama.cpp read, then ours. */
function modelJson({ card, pageTokens }: ServedModel) {
  return {
    id: card.id,
    object: "model",
    created: card.created,
    owned_by: "redraft",
    max_model_len: card.contextMax,
    redraft: {
      digest: card.digest,
      architecture: card.architecture,
      vocab_size: card.vocabSize,
      draft_head: card.headDigest === "" ? null : card.headDigest,
      page_tokens: pageTokens,
    },
  };
}
