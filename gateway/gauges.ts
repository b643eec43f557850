/** What `/metrics` reads from the running gateway. @module */
import { Gauge } from "./metrics.ts";
import type { NodeLink } from "./node_link.ts";
import type { Services } from "./services.ts";

type Row<T> = readonly [name: string, help: string, read: (from: T, services: Services) => number];

const CIRCUIT_VALUES = { "closed": 0, "half-open": 1, "open": 2 } as const;

/** Names follow `redraft_gateway_`. */
const GATEWAY: ReadonlyArray<Row<Services>> = [
  ["requests_active", "Generating requests under way.", (services) => services.activeCount],
  ["websockets", "Client WebSockets connected.", ({ socketSlots }) => socketSlots.count],
  ["draining", "1 while readiness says no.", ({ draining }) => draining ? 1 : 0],
  ["queue_size", "Requests that wait for a node.", ({ dispatcher }) => dispatcher.waitingCount],
  [
    "stranded",
    "Generations that lost their node and wait for another.",
    ({ dispatcher }) => dispatcher.strandedCount,
  ],
  [
    "store_ready",
    "1 if the shared store is reached, or there is none.",
    ({ store }) => store?.isReady ?? true ? 1 : 0,
  ],
  ["cache_bytes", "Bytes of held answers, estimated.", ({ cache }) => cache.bytes],
  ["cache_entries", "Answers held.", ({ cache }) => cache.entryCount],
];

/** By node; names follow `redraft_gateway_node_`. */
const NODES: ReadonlyArray<Row<NodeLink>> = [
  ["ready", "1 if the node takes requests.", ({ state }) => state === "ready" ? 1 : 0],
  [
    "circuit",
    "0 closed, 1 half open, 2 open: whether other nodes are preferred.",
    ({ circuit }, services) => CIRCUIT_VALUES[circuit.state(services.now())],
  ],
  ["streams", "Streams of ours on the node.", ({ streamCount }) => streamCount],
  ["active", "Sequences on the node, as routing sees it.", ({ activeCount }) => activeCount],
  ["picked", "Requests sent to the node, ever.", ({ pickedCount }) => pickedCount],
  [
    "blocks",
    "Prompt blocks that the node holds.",
    ({ url }, { pool }) => pool.prefixes.blockCount(url),
  ],
  ["tokens_per_step", "As the node reports it.", ({ status }) => status?.tokensPerStep ?? 0],
];

export function addGauges(services: Services): void {
  const { metrics, pool } = services;
  for (const [name, help, read] of GATEWAY) {
    const gauge = new Gauge(
      `redraft_gateway_${name}`,
      help,
      () => [[{}, read(services, services)]],
    );
    metrics.addGauge(gauge);
  }
  const resident = () => Deno.memoryUsage().rss;
  const help = "Resident memory size in bytes.";
  metrics.addGauge(new Gauge("process_resident_memory_bytes", help, () => [[{}, resident()]]));
  for (const [name, help, read] of NODES) {
    const values = () =>
      pool.links.map((link) => [{ node: link.url }, read(link, services)] as const);
    metrics.addGauge(new Gauge(`redraft_gateway_node_${name}`, help, values));
  }
}
