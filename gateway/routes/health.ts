/** `GET /healthz`: the process runs. `GET /readyz`: it can serve. @module */
import { Reply } from "../reply.ts";
import type { Route } from "./route.ts";

export const healthRoute: Route = {
  method: "GET",
  path: "/healthz",
  scope: "public",
  handle: () => Reply.json({ status: "ok" }, { headers: NO_STORE }),
};

export const readyRoute: Route = {
  method: "GET",
  path: "/readyz",
  scope: "public",
  handle: ({ services }) => {
    const nodesReady = services.pool.readyCount;
    const status = services.draining ? "draining" : nodesReady === 0 ? "no_node" : "ready";
    const nodes = services.pool.links.length;
    const { store } = services;
    // Without Redis each gateway serves on with limits of its own: worth saying, no more.
    const shared = store === undefined ? {} : { store: store.isReady ? "ready" : "away" };
    const body = { status, nodes, nodes_ready: nodesReady, ...shared };
    return Reply.json(body, { status: status === "ready" ? 200 : 503, headers: NO_STORE });
  },
};

const NO_STORE = { "cache-control": "no-store" };
