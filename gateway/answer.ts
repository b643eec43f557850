/** From a typed request to an HTTP response, streamed or whole. @module */
import { type AnswerHead, type AnswerShape, newId } from "./answer_shape.ts";
import type { Principal } from "./auth.ts";
import { cacheHeaders, readCacheHeaders } from "./cache_control.ts";
import { clientClosed, toApiError } from "./errors.ts";
import { rateHeaders } from "./rate_headers.ts";
import type { HttpRequest } from "./http_request.ts";
import { parseJsonText, readBodyText } from "./json_body.ts";
import { Reply } from "./reply.ts";
import type { GenerateRequest } from "./request.ts";
import { RequestRecord, round } from "./request_log.ts";
import { type Run, startRun } from "./run.ts";
import type { Services } from "./services.ts";
import { readRouting, workerHeaders } from "./routing_headers.ts";
import { SSE_HEADERS, SseStream } from "./sse.ts";

export interface AnswerOptions {
  services: Services;
  principal: Principal;
  /** For its headers, its body, and whether its client is still there. */
  http: HttpRequest;
  requestId: string;
  route: string;
  shape: AnswerShape;
  idPrefix: string;
  /** Reads the body.
   * @throws {ApiError} 400. */
  readRequest: (body: unknown) => GenerateRequest;
}

/** @throws {ApiError} For whatever ends the request before its first byte. */
export async function answer(options: AnswerOptions): Promise<Reply> {
  const { services, http } = options;
  const traceparent = http.headers.get("traceparent");
  const { route, requestId, principal } = options;
  const record = new RequestRecord(services, route, requestId, traceparent, principal.tenant);
  let run: Run | undefined;
  try {
    const body = await readBodyText(http, services);
    const scope = `${options.route} ${options.principal.tenant}`;
    const read = () => options.readRequest(parseJsonText(body));
    const request = services.requests.read(scope, body, read);
    run = await startRun(services, request, {
      principal: options.principal,
      ...readRouting(http.headers, principal, services.pool.links.length),
      cache: readCacheHeaders(http.headers),
      traceparent: record.traceparent,
    });
    record.submitted(run);
    const head = { id: newId(options.idPrefix), created: Math.floor(Date.now() / 1000) };
    return request.stream
      ? await streamed(options, run, head, record)
      : await whole(options, run, head, record);
  } catch (thrown) {
    const error = toApiError(thrown);
    record.end(error.status, run, error.code);
    run?.leave();
    throw error;
  }
}

async function whole(
  options: AnswerOptions,
  run: Run,
  head: AnswerHead,
  record: RequestRecord,
): Promise<Reply> {
  await until(run, options.http, () => {
    for (const { reader } of run.choices) {
      // Taken as they come, so that the node's credit does not run out.
      while (reader.take() !== undefined) record.token();
    }
    return run.done || run.error !== undefined;
  });
  if (run.error !== undefined) throw run.error;
  const body = options.shape.whole(run, head);
  const headers = answerHeaders(options, run, record, WHOLE_HEADERS);
  record.end(200, run);
  run.leave();
  return new Reply(body, { headers });
}

const WHOLE_HEADERS = {
  "content-type": "application/json",
  "cache-control": "private, no-store",
  "vary": "authorization",
} as const;

async function streamed(
  options: AnswerOptions,
  run: Run,
  head: AnswerHead,
  record: RequestRecord,
): Promise<Reply> {
  const { holdHeadersMs } = options.services.options;
  await until(run, options.http, () => run.ready || run.error !== undefined, holdHeadersMs);
  // Before the first byte an error is still a status.
  if (run.error !== undefined && !run.choices.some(({ reader }) => reader.generation.started)) {
    throw run.error;
  }
  const writer = options.shape.chunks(run, head);
  const stream = new SseStream(run, writer, record);
  return new Reply(stream, { headers: answerHeaders(options, run, record, SSE_HEADERS) });
}

/** Waits until `isDone()`, asked on every wake, or until `waitMs` are over.
 * @throws {ApiError} 499 when the client left. */
function until(
  run: Run,
  http: HttpRequest,
  isDone: () => boolean,
  waitMs?: number,
): Promise<void> {
  if (isDone()) return Promise.resolve();
  if (http.hasLeft) return Promise.reject(clientClosed());
  return new Promise((resolve, reject) => {
    const timer = waitMs === undefined ? undefined : setTimeout(() => settle(resolve), waitMs);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      run.onWake = () => {};
      http.onLeave = () => {};
      act();
    };
    run.onWake = () => {
      try {
        if (isDone()) settle(resolve);
      } catch (error) {
        settle(() => reject(error));
      }
    };
    http.onLeave = () => settle(() => reject(clientClosed()));
  });
}

function answerHeaders(
  options: AnswerOptions,
  run: Run,
  record: RequestRecord,
  fixed: Readonly<Record<string, string>>,
): Record<string, string> {
  const now = options.services.now();
  const gatewayMs = round((record.submittedAt ?? now) - record.startedAt);
  let timing = `gateway;dur=${gatewayMs}`;
  if (record.firstTokenAt !== undefined) {
    timing += `, ttft;dur=${round(record.firstTokenAt - record.startedAt)}`;
  }
  const usage = run.choices[0]?.reader.generation.usage;
  // A shared answer's times are those of whoever asked first.
  const isOwn = run.cache.state !== "HIT" && run.cache.state !== "COALESCED";
  if (isOwn && usage !== undefined && usage.contextMs > 0) {
    timing += `, queue;dur=${round(usage.queueMs)}, context;dur=${round(usage.contextMs)}`;
    timing += `, generation;dur=${round(usage.generationMs)}`;
  }
  const headers: Record<string, string> = {
    ...fixed,
    "x-request-id": options.requestId,
    "openai-processing-ms": String(Math.round(now - record.startedAt)),
    "server-timing": timing,
    ...cacheHeaders(run.cache),
    ...workerHeaders(run.nodeIndex),
    ...rateHeaders(run.admission?.states ?? {}),
  };
  if (run.retryCount > 0) headers["x-redraft-retry-count"] = String(run.retryCount);
  return headers;
}
