/** The HTTP surface: every route, who may use it, and the shape of every error. @module */
import { type Context, Hono } from "hono";
import { corsHeaders, preflightHeaders } from "./cors.ts";
import { type ApiError, methodNotAllowed, notFound, toApiError } from "./errors.ts";
import { checkHead, requestIdOf } from "./http_guard.ts";
import type { HttpRequest } from "./http_request.ts";
import { describeError } from "./log.ts";
import { Reply } from "./reply.ts";
import { ReplyRecord } from "./reply_log.ts";
import { capabilitiesRoute, openApiRoute } from "./routes/about.ts";
import { chatCompletionsRoute } from "./routes/chat_completions.ts";
import { completionsRoute } from "./routes/completions.ts";
import { fleetRoute } from "./routes/fleet.ts";
import { generateRoute } from "./routes/generate_ws.ts";
import { healthRoute, readyRoute } from "./routes/health.ts";
import { metricsRoute } from "./routes/metrics.ts";
import { modelRoute, modelsRoute } from "./routes/models.ts";
import { PLAYGROUND_ROUTES } from "./routes/playground.ts";
import { responsesRoute } from "./routes/responses.ts";
import type { Route } from "./routes/route.ts";
import { detokenizeRoute, tokenizeRoute } from "./routes/tokenize.ts";
import type { Services } from "./services.ts";

/** All there is: a path that is not here does not exist, whatever it looks like. */
export const ROUTES: readonly Route[] = [
  chatCompletionsRoute,
  completionsRoute,
  responsesRoute,
  modelsRoute,
  modelRoute,
  tokenizeRoute,
  detokenizeRoute,
  capabilitiesRoute,
  openApiRoute,
  fleetRoute,
  generateRoute,
  healthRoute,
  readyRoute,
  metricsRoute,
  ...PLAYGROUND_ROUTES,
];

export type App = (request: HttpRequest) => Reply | Promise<Reply>;

/** One handler a route and no middleware: Hono then calls it without composing a chain, and the
 * order of checks stands in one place. */
export function createApp(services: Services): App {
  const hono = new Hono();
  const off = services.options.playground ? [] : PLAYGROUND_ROUTES;
  const routes = ROUTES.filter((route) => !off.includes(route));
  for (const route of routes) {
    hono.on(route.method, route.path, (c) => asResponse(handle(services, route, c)));
  }
  hono.notFound((c) => asResponse(refuse(services, routes, c)));
  hono.onError((thrown, c) =>
    asResponse(errorReply(services, toApiError(thrown), requestIdOf(requestOf(c))))
  );
  return (request) => asReply(hono.fetch(request as unknown as Request));
}

// Hono routes; what it is given and what it gives back it only passes on.
const asResponse = (reply: Reply | Promise<Reply>) => reply as unknown as Response;
const asReply = (response: Response | Promise<Response>) => response as unknown as Reply;
const requestOf = (c: Context) => c.req.raw as unknown as HttpRequest;

async function handle(services: Services, route: Route, c: Context): Promise<Reply> {
  const http = requestOf(c);
  const requestId = requestIdOf(http);
  const record = new ReplyRecord(services, route.path, requestId);
  try {
    checkHead(http, services);
    if (route.scope === "key") {
      record.principal = services.keys.authenticate(http.headers.get("authorization"));
    } else record.isQuiet = true;
    record.isRecorded = route.isRecorded === true;
    const { principal } = record;
    const param = (name: string) => c.req.param(name);
    const reply = await route.handle({ http, param, services, principal, requestId });
    record.end(reply);
    return readable(services, http, reply);
  } catch (thrown) {
    const error = toApiError(thrown);
    const reply = errorReply(services, error, requestId);
    record.end(reply, error.code);
    return readable(services, http, reply);
  }
}

/** No route has this path and method. */
function refuse(services: Services, routes: readonly Route[], c: Context): Reply {
  const http = requestOf(c);
  const requestId = requestIdOf(http);
  const record = new ReplyRecord(services, "none", requestId);
  const allowed = methodsOf(routes, c.req.path);
  const preflight = http.method === "OPTIONS" && allowed.length > 0
    ? preflightHeaders(http, services.options.corsOrigins, allowed)
    : undefined;
  if (preflight !== undefined) return new Reply(null, { status: 204, headers: preflight });
  const error = allowed.length === 0 ? notFound() : methodNotAllowed(allowed);
  const reply = errorReply(services, error, requestId);
  record.end(reply, error.code);
  return readable(services, http, reply);
}

/** Lets a page read the answer, where its origin is one of those that may. */
function readable(services: Services, http: HttpRequest, reply: Reply): Reply {
  const { corsOrigins } = services.options;
  if (corsOrigins.size === 0) return reply;
  Object.assign(reply.headers, corsHeaders(http.headers.get("origin"), corsOrigins));
  return reply;
}

function methodsOf(routes: readonly Route[], path: string): string[] {
  const fits = (route: Route) =>
    route.path.includes(":")
      ? path.startsWith("/v1/models/") && path.length > "/v1/models/".length
      : route.path === path;
  return routes.filter(fits).map((route) => route.method);
}

function errorReply(services: Services, error: ApiError, requestId: string): Reply {
  if (error.status >= 500) {
    if (error.code === "internal_error") services.metrics.faults.add(1);
    const cause = error.cause === undefined ? undefined : describeError(error.cause);
    services.log.write("error", "request.failed", {
      request_id: requestId,
      code: error.code,
      cause,
    });
  }
  return Reply.json({ error }, {
    status: error.status,
    headers: {
      "cache-control": "private, no-store",
      "x-request-id": requestId,
      ...error.headers,
    },
  });
}
