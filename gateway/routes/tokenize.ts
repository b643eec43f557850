/** `POST /tokenize` and `POST /detokenize`, as vLLM has them. @module */
import { tokenString } from "../answer_shape.ts";
import { mayUse, type Principal } from "../auth.ts";
import { invalidValue, missing, modelNotAllowed, modelNotFound, noNode } from "../errors.ts";
import { readJsonBody } from "../json_body.ts";
import { rateHeaders } from "../rate_headers.ts";
import { readDetokenizeRequest, readTokenizeRequest } from "../request_tokens.ts";
import { Reply } from "../reply.ts";
import { admit } from "../run.ts";
import type { Services } from "../services.ts";
import { PRIVATE, type Route } from "./route.ts";

export const tokenizeRoute: Route = {
  method: "POST",
  path: "/tokenize",
  scope: "key",
  handle: async ({ http, services, principal }) => {
    const body = await readJsonBody(http, services);
    const { model: name, prompt, wantTexts } = readTokenizeRequest(body);
    const { model, headers } = await modelOf(services, principal, name);
    const tokens = prompt.kind === "text"
      ? model.encodeText(prompt.text, prompt)
      : model.renderAndEncode(prompt.messages, prompt);
    const answer = {
      count: tokens.length,
      max_model_len: model.card.contextMax,
      tokens: [...tokens],
      token_strs: wantTexts ? Array.from(tokens, (token) => tokenString(model, token)) : null,
    };
    return Reply.json(answer, { headers });
  },
};

export const detokenizeRoute: Route = {
  method: "POST",
  path: "/detokenize",
  scope: "key",
  handle: async ({ http, services, principal }) => {
    const body = await readJsonBody(http, services);
    const { model: name, tokens } = readDetokenizeRequest(body);
    const { model, headers } = await modelOf(services, principal, name);
    const foreign = tokens.findIndex((token) => token >= model.card.vocabSize);
    if (foreign >= 0) {
      const field = `tokens[${foreign}]`;
      throw invalidValue(field, `'${field}' is not a token of this model.`);
    }
    const tokenText = model.tokenText();
    try {
      return Reply.json({ prompt: tokenText.push(tokens) + tokenText.flush() }, { headers });
    } finally {
      tokenText.free();
    }
  },
};

/** Counts a request of the key, and no tokens.
 * @param name `undefined`: the only model that the key may use.
 * @returns The answer's headers, too.
 * @throws {ApiError} 400, 403, 404, 429 or 503. */
async function modelOf(
  services: Services,
  principal: Principal,
  name = onlyOf(services, principal),
) {
  const model = services.pool.model(name);
  if (model === undefined) throw modelNotFound(name, services.pool.models);
  if (!mayUse(principal, name)) throw modelNotAllowed(name);
  const admission = await admit(services, principal);
  admission.release();
  return { model, headers: { ...PRIVATE, ...rateHeaders(admission.states) } };
}

function onlyOf(services: Services, principal: Principal): string {
  const all = [...services.pool.models];
  if (all.length === 0) throw noNode();
  const models = all.filter(({ card }) => mayUse(principal, card.id));
  if (models.length !== 1) throw missing("model");
  return models[0]!.card.id;
}
