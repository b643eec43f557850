/** The HTTP surface: every route, who may use it, and the shape of every error. @module */
import { Hono } from "hono";
import { corsHeaders, preflightHeaders } from "./cors.ts";
import { type ApiError, methodNotAllowed, notFound, toApiError } from "./errors.ts";
import { checkHost, requestIdOf } from "./http_guard.ts";
import { describeError } from "./log.ts";
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

/** One handler a route and no middleware: Hono then calls it without composing a chain, and the
 * order of checks stands in one place. */
export function createApp(services: Services): Hono {
  const app = new Hono();
  const off = services.options.playground ? [] : PLAYGROUND_ROUTES;
  const routes = ROUTES.filter((route) => !off.includes(route));
  for (const route of routes) {
    app.on(route.method, route.path, async (c) => {
      const http = c.req.raw;
      const requestId = requestIdOf(http);
      const reply = new ReplyRecord(services, route.path, requestId);
      try {
        checkHost(http, services);
        if (route.scope === "key") {
          reply.principal = services.keys.authenticate(http.headers.get("authorization"));
        } else reply.isQuiet = true;
        reply.isRecorded = route.isRecorded === true;
        const { principal } = reply;
        const response = await route.handle({ c, services, principal, requestId });
        reply.end(response);
        // After an upgrade nobody reads headers.
        return response.status === 101 ? response : readable(services, http, response);
      } catch (thrown) {
        const error = toApiError(thrown);
        const response = errorResponse(services, error, requestId);
        reply.end(response, error.code);
        return readable(services, http, response);
      }
    });
  }
  app.notFound((c) => {
    const http = c.req.raw;
    const requestId = requestIdOf(http);
    const reply = new ReplyRecord(services, "none", requestId);
    const allowed = methodsOf(routes, c.req.path);
    const preflight = http.method === "OPTIONS" && allowed.length > 0
      ? preflightHeaders(http, services.options.corsOrigins, allowed)
      : undefined;
    if (preflight !== undefined) return new Response(null, { status: 204, headers: preflight });
    const error = allowed.length === 0 ? notFound() : methodNotAllowed(allowed);
    const response = errorResponse(services, error, requestId);
    reply.end(response, error.code);
    return readable(services, http, response);
  });
  app.onError((thrown, c) => errorResponse(services, toApiError(thrown), requestIdOf(c.req.raw)));
  return app;
}

/** Lets a page read the answer, where its origin is one of those that may. */
function readable(services: Services, http: Request, response: Response): Response {
  const { corsOrigins } = services.options;
  if (corsOrigins.size === 0) return response;
  const headers = corsHeaders(http.headers.get("origin"), corsOrigins);
  for (const [name, value] of Object.entries(headers ?? {})) response.headers.set(name, value);
  return response;
}

function methodsOf(routes: readonly Route[], path: string): string[] {
  const fits = (route: Route) =>
    route.path.includes(":")
      ? path.startsWith("/v1/models/") && path.length > "/v1/models/".length
      : route.path === path;
  return routes.filter(fits).map((route) => route.method);
}

function errorResponse(services: Services, error: ApiError, requestId: string): Response {
  if (error.status >= 500) {
    if (error.code === "internal_error") services.metrics.faults.add(1);
    const cause = error.cause === undefined ? undefined : describeError(error.cause);
    services.log.write("error", "request.failed", {
      request_id: requestId,
      code: error.code,
      cause,
    });
  }
  return new Response(JSON.stringify({ error }), {
    status: error.status,
    headers: {
      "content-type": "application/json",
      "cache-control": "private, no-store",
      "x-request-id": requestId,
      ...error.headers,
    },
  });
}
