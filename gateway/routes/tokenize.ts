/** `POST /tokenize` and `POST /detokenize`, as vLLM has them. @module */
import { tokenString } from "../answer_shape.ts";
import { mayUse, type Principal } from "../auth.ts";
import { invalidValue, modelNotAllowed, modelNotFound } from "../errors.ts";
import { readJsonBody } from "../json_body.ts";
import { readDetokenizeRequest, readTokenizeRequest } from "../request_tokens.ts";
import { admit } from "../run.ts";
import type { ServedModel } from "../served_model.ts";
import type { Services } from "../services.ts";
import type { Route } from "./route.ts";

const NO_STORE = { "cache-control": "private, no-store" };

export const tokenizeRoute: Route = {
  method: "POST",
  path: "/tokenize",
  scope: "key",
  handle: async ({ c, services, principal }) => {
    const body = await readJsonBody(c.req.raw, services);
    const { model: name, prompt, wantTexts } = readTokenizeRequest(body);
    const model = await modelOf(services, principal, name);
    const tokens = prompt.kind === "text"
      ? model.encodeText(prompt.text)
      : model.renderAndEncode(prompt.messages, prompt.tools);
    return c.json(
      {
        count: tokens.length,
        max_model_len: model.card.contextMax,
        tokens: [...tokens],
        token_strs: wantTexts ? Array.from(tokens, (token) => tokenString(model, token)) : null,
      },
      200,
      NO_STORE,
    );
  },
};

export const detokenizeRoute: Route = {
  method: "POST",
  path: "/detokenize",
  scope: "key",
  handle: async ({ c, services, principal }) => {
    const body = await readJsonBody(c.req.raw, services);
    const { model: name, tokens } = readDetokenizeRequest(body);
    const model = await modelOf(services, principal, name);
    const foreign = tokens.findIndex((token) => token >= model.card.vocabSize);
    if (foreign >= 0) {
      const field = `tokens[${foreign}]`;
      throw invalidValue(field, `'${field}' is not a token of this model.`);
    }
    const tokenText = model.tokenText();
    try {
      return c.json({ prompt: tokenText.push(tokens) + tokenText.flush() }, 200, NO_STORE);
    } finally {
      tokenText.free();
    }
  },
};

/** Counts a request of the key, and no tokens.
 * @throws {ApiError} 403, 404, 429 or 503. */
async function modelOf(
  services: Services,
  principal: Principal,
  name: string,
): Promise<ServedModel> {
  const model = services.pool.model(name);
  if (model === undefined) throw modelNotFound(name, services.pool.models);
  if (!mayUse(principal, name)) throw modelNotAllowed(name);
  (await admit(services, principal)).release();
  return model;
}
