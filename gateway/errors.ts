/** Errors as clients see them: OpenAI's JSON shape, one place for each status and code. Pure.
 * @module */

export interface ErrorOptions {
  /** The request field at fault, as the client spelled it: `messages[0].content`. */
  param?: string;
  headers?: Record<string, string>;
  /** Further keys of the error object, such as `n_ctx`. */
  extra?: Record<string, string | number>;
  /** Written to the log, never sent. */
  cause?: unknown;
}

/** A request that ends in an HTTP error, or in an error event once its stream has begun. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly param: string | null;
  readonly headers: Record<string, string>;
  readonly extra: Record<string, string | number>;

  constructor(
    readonly status: number,
    readonly type: string,
    readonly code: string,
    message: string,
    options: ErrorOptions = {},
  ) {
    super(message, { cause: options.cause });
    this.param = options.param ?? null;
    this.headers = options.headers ?? {};
    this.extra = options.extra ?? {};
  }

  /** The error object of a body or an event: the four keys that OpenAI requires, then ours. */
  toJSON(): Record<string, unknown> {
    return {
      message: this.message,
      type: this.type,
      param: this.param,
      code: this.code,
      ...this.extra,
    };
  }
}

const INVALID = "invalid_request_error";

export function invalidValue(param: string, message: string): ApiError {
  return new ApiError(400, INVALID, "invalid_value", message, { param });
}

export function invalidType(param: string, expected: string): ApiError {
  const message = `Invalid type for '${param}': expected ${expected}.`;
  return new ApiError(400, INVALID, "invalid_type", message, { param });
}

export function missing(param: string): ApiError {
  const message = `Missing required parameter: '${param}'.`;
  return new ApiError(400, INVALID, "missing_required_parameter", message, { param });
}

export function unsupported(param: string, message: string): ApiError {
  return new ApiError(400, INVALID, "unsupported_parameter", message, { param });
}

export function unknownParameter(param: string): ApiError {
  const message = `Unknown parameter: '${param}'.`;
  return new ApiError(400, INVALID, "unknown_parameter", message, { param });
}

export function badRequest(code: string, message: string): ApiError {
  return new ApiError(400, INVALID, code, message);
}

/** @param param `null`: not known here; `forField()` says it later. */
export function contextExceeded(
  promptCount: number,
  contextMax: number,
  param: string | null,
  least: "" | "at least " = "",
): ApiError {
  return new ApiError(
    400,
    INVALID,
    "context_length_exceeded",
    `This model's maximum context length is ${contextMax} tokens, but the prompt has ` +
      `${least}${promptCount} tokens and needs room for at least one more.`,
    { param: param ?? undefined, extra: { n_prompt_tokens: promptCount, n_ctx: contextMax } },
  );
}

/** The same error of a prompt, with the name that its field has where it came from. */
export function forField(error: ApiError, param: string): ApiError {
  if (error.code !== "context_length_exceeded" || error.param === param) return error;
  const { status, type, code, message, headers, extra, cause } = error;
  return new ApiError(status, type, code, message, { param, headers, extra, cause });
}

/** Of a name that is none of `served`. Before any node has been reached, nobody can tell. */
export function modelNotFound(model: string, served: Iterable<unknown>): ApiError {
  if ([...served].length === 0) return noNode();
  return new ApiError(
    404,
    INVALID,
    "model_not_found",
    `The model '${model}' does not exist or you do not have access to it.`,
    { param: "model" },
  );
}

export function modelNotAllowed(model: string): ApiError {
  const message = `This key may not use the model '${model}'.`;
  return new ApiError(403, "permission_error", "model_not_allowed", message, { param: "model" });
}

export function invalidKey(message: string): ApiError {
  return new ApiError(401, "authentication_error", "invalid_api_key", message, {
    headers: { "www-authenticate": "Bearer" },
  });
}

export function notFound(): ApiError {
  return new ApiError(404, INVALID, "unknown_url", "No such route. See /v1/models to begin with.");
}

export function methodNotAllowed(allowed: readonly string[]): ApiError {
  const message = `Method not allowed: this route takes ${allowed.join(", ")}.`;
  return new ApiError(405, INVALID, "method_not_allowed", message, {
    headers: { allow: allowed.join(", ") },
  });
}

export function tooLarge(bytesMax: number): ApiError {
  const message = `The request body is over the limit of ${bytesMax} bytes.`;
  return new ApiError(413, INVALID, "request_too_large", message, {
    headers: { connection: "close" },
  });
}

export function unsupportedMedia(message: string): ApiError {
  return new ApiError(415, INVALID, "unsupported_media_type", message);
}

export function timedOut(code: string, message: string): ApiError {
  return new ApiError(408, "timeout_error", code, message);
}

/** More than the nodes' queues hold: the client may come back. */
export function queueFull(): ApiError {
  return shortly("Every node's queue is full. Please retry after a short wait.");
}

/** Of a request that names its node: it waits for none, as only this one could take it. */
export function nodeFull(): ApiError {
  return shortly("The node that the request names has no room. Please retry after a short wait.");
}

/** @param most WebSockets that the key may have. */
export function tooManySockets(most: number): ApiError {
  const message = `This key has ${most} WebSockets open, which is as many as it may have.`;
  return shortly(message, "too_many_sockets");
}

/** Asked for with `only-if-cached` (RFC 9111, section 5.2.1.7): asking again changes nothing. */
export function notCached(headers: Record<string, string>): ApiError {
  const message = "The answer is not cached.";
  return new ApiError(504, "invalid_request_error", "not_cached", message, {
    headers: { ...headers, "x-should-retry": "false" },
  });
}

/** Of one WebSocket, of which the next response may start when another has ended. */
export function tooManyInFlight(most: number): ApiError {
  const message = `At most ${most} responses may be in flight on one socket.`;
  return shortly(message, "too_many_in_flight");
}

function shortly(message: string, code = "queue_full"): ApiError {
  return new ApiError(429, "rate_limit_error", code, message, {
    headers: { "retry-after": "1", "retry-after-ms": "1000" },
  });
}

/** More wait for a node than may, or longer than is worth it. */
export function tooManyWaiting(retryMs: number): ApiError {
  const message = "Too many requests are waiting. Please retry later.";
  const seconds = String(Math.ceil(retryMs / 1000));
  return new ApiError(429, "rate_limit_error", "queue_full", message, {
    headers: { "retry-after": seconds, "retry-after-ms": String(Math.ceil(retryMs)) },
  });
}

export function queueTimedOut(): ApiError {
  return unavailable("queue_timeout", "No node had room in time. Please retry later.");
}

export function noNode(): ApiError {
  return unavailable("no_healthy_node", "No node that serves this model is available right now.");
}

export function unavailable(code: string, message: string): ApiError {
  return new ApiError(503, "overloaded_error", code, message, {
    headers: { "retry-after": "2", "retry-after-ms": "2000" },
  });
}

/** The node broke. `x-should-retry` keeps SDKs from repeating what a retry already failed at. */
export function upstreamError(message: string, cause?: unknown): ApiError {
  return new ApiError(502, "server_error", "upstream_error", message, {
    headers: { "x-should-retry": "false" },
    cause,
  });
}

export function internalError(cause: unknown): ApiError {
  const message = "The server had an error while processing your request.";
  return new ApiError(500, "server_error", "internal_error", message, {
    headers: { "x-should-retry": "false" },
    cause,
  });
}

/** nginx's 499: nobody is left to read it, so it lives in logs and metrics alone. */
export function clientClosed(): ApiError {
  return new ApiError(499, "client_error", "client_closed_request", "The client went away.");
}

/** What was thrown, as an `ApiError`. */
export function toApiError(thrown: unknown): ApiError {
  return thrown instanceof ApiError ? thrown : internalError(thrown);
}
