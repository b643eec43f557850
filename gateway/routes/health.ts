/** `GET /healthz`: the process runs. `GET /readyz`: it can serve. @module */
import type { Route } from "./route.ts";

export const healthRoute: Route = {
  method: "GET",
  path: "/healthz",
  scope: "public",
  handle: ({ c }) => c.json({ status: "ok" }, 200, NO_STORE),
};

export const readyRoute: Route = {
  method: "GET",
  path: "/readyz",
  scope: "public",
  handle: ({ c, services }) => {
    const nodesReady = services.pool.readyCount;
    const status = services.draining ? "draining" : nodesReady === 0 ? "no_node" : "ready";
    const nodes = services.pool.links.length;
    const { store } = services;
    // Without Redis each gateway serves on with limits of its own: worth saying, no more.
    const shared = store === undefined ? {} : { store: store.isReady ? "ready" : "away" };
    const body = { status, nodes, nodes_ready: nodesReady, ...shared };
    return c.json(body, status === "ready" ? 200 : 503, NO_STORE);
  },
};

const NO_STORE = { "cache-control": "no-store" };
