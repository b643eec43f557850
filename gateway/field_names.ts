/** What a request's fields are called on the route that it came by: errors name them so. Pure.
 * @module */
import type { GenerateRequest } from "./request.ts";

/** @param index Of the prompt. */
export function promptName({ route, prompts }: GenerateRequest, index: number): string {
  if (route === "response") return "input";
  if (route === "chat") return "messages";
  return prompts.length === 1 ? "prompt" : `prompt[${index}]`;
}

/** The field that bounds the answer's tokens. */
export function tokensMaxName({ route }: GenerateRequest): string {
  return route === "response" ? "max_output_tokens" : "max_tokens";
}
