/** `GET /v1/fleet`: the nodes by their own reports, and what this gateway holds, for
 * people who watch. @module */
import type { NodeLink } from "../node_link.ts";
import type { Fleet, FleetNode } from "../../proto/fleet.ts";
import { Reply } from "../reply.ts";
import { PRIVATE, type Route } from "./route.ts";

export const fleetRoute: Route = {
  method: "GET",
  path: "/v1/fleet",
  scope: "key",
  handle: ({ services }) => {
    const { pool, dispatcher, cache } = services;
    const nodes = pool.links.map((link, index) => nodeJson(link, index));
    const queue = { waiting: dispatcher.waitingCount, stranded: dispatcher.strandedCount };
    const held = { entries: cache.entryCount, bytes: cache.bytes };
    const fleet: Fleet = {
      gateway: services.gatewayId,
      requests_active: services.activeCount,
      queue,
      cache: held,
      nodes,
    };
    return Reply.json({ object: "fleet", ...fleet }, { headers: PRIVATE });
  },
};

function nodeJson(link: NodeLink, index: number): FleetNode {
  const { welcome, status, model, state, streamCount } = link;
  const totals = status?.totals;
  const pagesMax = welcome?.pagesMax ?? 0;
  return {
    index,
    state,
    backend: welcome?.backend ?? null,
    model: model?.card.id ?? null,
    slots_max: welcome?.slotsMax ?? 0,
    slots_busy: status?.slotsBusy ?? 0,
    active: streamCount,
    queue: status?.queueCount ?? 0,
    pages_max: pagesMax,
    pages_used: status === undefined ? 0 : Math.max(0, pagesMax - status.pagesFree),
    tokens_per_step: status?.tokensPerStep ?? 0,
    tokens_per_second: status?.tokensPerSecond ?? 0,
    prompt_tokens: totals?.promptTokens ?? 0,
    prompt_tokens_cached: totals?.cachedTokens ?? 0,
    steps: totals?.steps ?? 0,
    drafted: totals?.draftedTokens ?? 0,
    accepted_by_depth: totals?.acceptedByDepth ?? [],
  };
}
