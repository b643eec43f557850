/** Requests that are asked again and again, read once: checking a body and hashing its question
 * cost more than all else that a held answer needs. Pure. @module */
import type { GenerateRequest } from "./request.ts";

const ENTRIES_MAX = 1024;
/** Of a body. With so few, what an entry holds is some kilobytes. */
const CHARS_MAX = 4096;

/** What a request comes to on one model. */
export interface KnownPlan {
  /** Of the model. */
  digest: string;
  /** The caller wants the answer cache even where answers may differ. */
  isAsked: boolean;
  promptTokens: readonly Uint32Array[];
  /** Of each choice's answer. */
  keys: readonly (string | undefined)[];
}

interface Entry {
  request: GenerateRequest;
  plan?: KnownPlan;
}

export class RequestMemo {
  /** Insertion order is use: the first is the least recently used. */
  readonly #entries = new Map<string, Entry>();
  readonly #byRequest = new WeakMap<GenerateRequest, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** @param scope Route and tenant: a tenant must not see by the clock what another one asked.
   * @returns A request that nobody may change. */
  read(scope: string, body: string, parse: () => GenerateRequest): GenerateRequest {
    if (body.length > CHARS_MAX) return parse();
    const key = `${scope}\n${body}`;
    const known = this.#entries.get(key);
    if (known !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known.request;
    }
    const request = parse();
    // Nobody asks again for what is drawn anew each time, but to have another answer.
    const { temperature, seed } = request.sampling;
    if (temperature > 0 && seed === undefined) return request;
    const entry: Entry = { request };
    this.#entries.set(key, entry);
    this.#byRequest.set(request, entry);
    if (this.#entries.size > ENTRIES_MAX) {
      this.#entries.delete(this.#entries.keys().next().value!);
    }
    return request;
  }

  plan(request: GenerateRequest, digest: string, isAsked: boolean): KnownPlan | undefined {
    const plan = this.#byRequest.get(request)?.plan;
    return plan?.digest === digest && plan.isAsked === isAsked ? plan : undefined;
  }

  keep(request: GenerateRequest, plan: KnownPlan): void {
    const entry = this.#byRequest.get(request);
    if (entry !== undefined) entry.plan = plan;
  }
}
