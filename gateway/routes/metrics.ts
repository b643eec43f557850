/** `GET /metrics`: Prometheus text. @module */
import { Reply } from "../reply.ts";
import type { Route } from "./route.ts";

export const metricsRoute: Route = {
  method: "GET",
  path: "/metrics",
  scope: "key",
  handle: ({ services }) =>
    new Reply(services.metrics.text(), {
      headers: {
        "content-type": "text/plain; version=0.0.4; charset=utf-8",
        "cache-control": "no-store",
      },
    }),
};
