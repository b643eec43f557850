/** From a typed request to its choices: prompts as tokens, every default applied. @module */
import { LIMITS } from "../proto/limits.ts";
import { contextExceeded, invalidValue } from "./errors.ts";
import { promptName } from "./field_names.ts";
import type { GenerationSpec } from "./generation_spec.ts";
import { cacheKey } from "./prompt_cache.ts";
import type { GenerateRequest, Prompt } from "./request.ts";
import type { Run, RunOptions } from "./run.ts";
import { PromptTooLongError, type ServedModel } from "./served_model.ts";
import type { Services } from "./services.ts";

/** A choice before it is started. */
export interface Planned {
  index: number;
  promptIndex: number;
  spec: GenerationSpec;
  /** `undefined`: its answer is neither looked up nor kept. */
  key: string | undefined;
}

/** Puts the prompts' tokens into the run.
 * @throws {ApiError} 400. */
export function planChoices(services: Services, run: Run, options: RunOptions): Planned[] {
  const { model, request } = run;
  const { digest } = model.card;
  const isAsked = options.cache.ttlMs !== undefined;
  const known = services.requests.plan(request, digest, isAsked);
  if (known !== undefined) run.promptTokens.push(...known.promptTokens);
  else encodePrompts(services, run, options.principal.tenant);
  const planned: Planned[] = [];
  for (const [promptIndex, tokens] of run.promptTokens.entries()) {
    for (let i = 0; i < request.choiceCount; ++i) {
      const spec = specOf(services, model, request, tokens, i, options);
      const index = planned.length;
      planned.push({ index, promptIndex, spec, key: keyOf(index, i, spec) });
    }
  }
  if (known === undefined && options.cache.mayStore) {
    const keys = planned.map(({ key }) => key);
    services.requests.keep(request, { digest, isAsked, promptTokens: run.promptTokens, keys });
  }
  return planned;

  function keyOf(index: number, choice: number, spec: GenerationSpec): string | undefined {
    if (!options.cache.mayStore) return undefined;
    if (known !== undefined) return known.keys[index];
    // A call is asked for to be made again: its answer is held for those alone who say so.
    if (!isAsked && request.tools !== undefined) return undefined;
    return cacheKey(options.principal.tenant, spec, choice, isAsked);
  }
}

function encodePrompts(services: Services, run: Run, tenant: string): void {
  const { model, request } = run;
  for (const [i, prompt] of request.prompts.entries()) {
    const param = promptName(request, i);
    const tokens = encodeOrRefuse(services, tenant, model, prompt, param);
    // The last position's token needs no room, but without one there would be no answer.
    if (tokens.length >= model.card.contextMax) {
      throw contextExceeded(tokens.length, model.card.contextMax, param);
    }
    run.promptTokens.push(tokens);
  }
}

/** @throws {ApiError} 400. */
function encodeOrRefuse(
  services: Services,
  tenant: string,
  model: ServedModel,
  prompt: Prompt,
  param: string,
): Uint32Array {
  try {
    return encodePrompt(services, tenant, model, prompt, param);
  } catch (error) {
    if (!(error instanceof PromptTooLongError)) throw error;
    const { contextMax } = model.card;
    throw contextExceeded(error.countLeast, contextMax, param, "at least ");
  }
}

function encodePrompt(
  services: Services,
  tenant: string,
  model: ServedModel,
  prompt: Prompt,
  param: string,
): Uint32Array {
  const tokensMax = model.card.contextMax;
  switch (prompt.kind) {
    case "messages": {
      const { messages, tools } = prompt;
      const hasTools = tools || messages.some((m) => m.toolCalls || m.role === "tool");
      if (hasTools) return model.renderAndEncode(messages, { tools, tokensMax });
      const scope = `${tenant} ${model.card.digest}`;
      const render = () => model.renderAndEncode(messages, { tokensMax });
      return services.prompts.tokens(scope, messages, render);
    }
    case "text": {
      const tokens = model.encodeText(prompt.text, { tokensMax });
      if (tokens.length > 0) return tokens;
      throw invalidValue(param, "The prompt has no tokens.");
    }
    case "tokens": {
      const foreign = prompt.tokens.findIndex((token) => token >= model.card.vocabSize);
      if (foreign < 0) return prompt.tokens;
      const name = `${param}[${foreign}]`;
      throw invalidValue(name, `'${name}' is not a token of this model.`);
    }
  }
}

function specOf(
  services: Services,
  model: ServedModel,
  request: GenerateRequest,
  tokens: Uint32Array,
  choice: number,
  options: RunOptions,
): GenerationSpec {
  const { sampling } = request;
  const seeded = sampling.seed !== undefined;
  // Choices of one request differ, and each is the same again for the same seed.
  const seed = BigInt.asUintN(64, (sampling.seed ?? services.drawSeed()) + BigInt(choice));
  const room = Math.min(model.card.contextMax - tokens.length, LIMITS.contextMax);
  return {
    model,
    tokens,
    tokensMax: Math.min(request.tokensMax ?? room, room),
    stop: request.stop,
    stopTokens: request.ignoreEos ? [] : model.stopTokens,
    sampling: {
      temperature: sampling.temperature,
      topK: sampling.topK,
      topP: sampling.topP,
      minP: sampling.minP,
      repetitionPenalty: sampling.repetitionPenalty,
      presencePenalty: sampling.presencePenalty,
      frequencyPenalty: sampling.frequencyPenalty,
      seedLow: Number(seed & 0xffff_ffffn),
      seedHigh: Number(seed >> 32n),
      logprobs: sampling.logprobs,
      logitBias: readBias(model, request),
    },
    seeded,
    schema: request.schema,
    speculation: request.speculation,
    salt: options.principal.tenant,
    priority: Math.min(options.priority ?? Infinity, options.principal.priority),
    session: options.session,
    nodeIndex: options.nodeIndex,
    traceparent: options.traceparent,
  };
}

function readBias(model: ServedModel, request: GenerateRequest): Array<[number, number]> {
  return request.sampling.logitBias.map(({ token, bias }) => {
    if (token >= model.card.vocabSize) {
      throw invalidValue("logit_bias", `'logit_bias' names ${token}, not a token of this model.`);
    }
    return [token, bias];
  });
}
