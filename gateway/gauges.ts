/** What `/metrics` reads from the running gateway. @module */
import { Gauge } from "./metrics.ts";
import type { NodeLink } from "./node_link.ts";
import type { Services } from "./services.ts";

export function addGauges(services: Services): void {
  const add = (name: string, help: string, read: () => number) =>
    services.metrics.addGauge(new Gauge(name, help, () => [[{}, read()]]));
  const addByNode = (name: string, help: string, read: (link: NodeLink) => number) =>
    services.metrics.addGauge(
      new Gauge(
        name,
        help,
        () => services.pool.links.map((link) => [{ node: link.url }, read(link)]),
      ),
    );
  add(
    "redraft_gateway_requests_active",
    "Generating requests under way.",
    () => services.activeCount,
  );
  add("redraft_gateway_websockets", "Client WebSockets open.", () => services.sockets.size);
  add("redraft_gateway_draining", "1 while readiness says no.", () => services.draining ? 1 : 0);
  add(
    "redraft_gateway_cache_bytes",
    "Bytes of held answers, estimated.",
    () => services.cache.bytes,
  );
  add("redraft_gateway_cache_entries", "Answers held.", () => services.cache.entryCount);
  add(
    "process_resident_memory_bytes",
    "Resident memory size in bytes.",
    () => Deno.memoryUsage().rss,
  );
  addByNode(
    "redraft_gateway_node_ready",
    "1 if the node takes requests.",
    (link) => link.state === "ready" ? 1 : 0,
  );
  addByNode(
    "redraft_gateway_node_streams",
    "Streams of ours on the node.",
    (link) => link.streamCount,
  );
  addByNode(
    "redraft_gateway_node_active",
    "Sequences on the node, as routing sees it.",
    (link) => link.activeCount,
  );
  addByNode(
    "redraft_gateway_node_picked",
    "Requests sent to the node, ever.",
    (link) => link.pickedCount,
  );
  addByNode(
    "redraft_gateway_node_blocks",
    "Prompt blocks that the node holds.",
    (link) => services.pool.prefixes.blockCount(link.url),
  );
  addByNode(
    "redraft_gateway_node_tokens_per_step",
    "As the node reports it.",
    (link) => link.status?.tokensPerStep ?? 0,
  );
}
