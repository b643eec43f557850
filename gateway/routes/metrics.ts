/** `GET /metrics`: Prometheus text. @module */
import type { Route } from "./route.ts";

export const metricsRoute: Route = {
  method: "GET",
  path: "/metrics",
  scope: "key",
  handle: ({ c, services }) =>
    c.body(services.metrics.text(), 200, {
      "content-type": "text/plain; version=0.0.4; charset=utf-8",
      "cache-control": "no-store",
    }),
};
