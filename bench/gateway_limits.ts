/** Many clients of one key over two gateways on one real Redis: how far past the key's tokens a
 * minute they get. @module */
import { REDIS_PROGRAM, RedisServer } from "../tests/support/redis_server.ts";
import { freshBody } from "./gateway_peers.ts";
import { LoadClient } from "./gateway_load.ts";
import { GatewayStand } from "./gateway_stand.ts";
import { round4 } from "./stats.ts";

const CLIENTS = 64;
const TOKENS_PER_MINUTE = 20_000;
/** Below a minute, so that no token of it leaves the window that the limit is about. */
const SECONDS = 45;
const PAUSE_MS = 20;
const STORE_MS_MAX = 10_000;

interface Tally {
  tokens: number;
  byGateway: number[];
  refused: number;
}

/** Asks again and again, now of one gateway, now of the other. */
async function hammer(stand: GatewayStand, from: number, end: number, tally: Tally) {
  const clients = [
    await LoadClient.open(stand.target(0)),
    await LoadClient.open(stand.target(1)),
  ];
  try {
    for (let n = from; performance.now() < end; n += CLIENTS) {
      const at = Math.floor(n / CLIENTS) % 2;
      const { head, body } = await clients[at]!.exchange(freshBody(n));
      if (head.startsWith("HTTP/1.1 200")) {
        tally.tokens += JSON.parse(body).usage.total_tokens;
        ++tally.byGateway[at]!;
        continue;
      }
      if (!head.startsWith("HTTP/1.1 429")) throw new Error(`Cannot measure: ${head}`);
      ++tally.refused;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  } finally {
    for (const client of clients) client.close();
  }
}

async function storeReady(stand: GatewayStand): Promise<void> {
  const end = performance.now() + STORE_MS_MAX;
  while (await stand.metric("redraft_gateway_store_ready") !== 1) {
    if (performance.now() > end) throw new Error("Cannot measure: the store is not reached");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function measureLimits() {
  if (!REDIS_PROGRAM) throw new Error("Cannot measure limits: no redis-server on PATH");
  await using redis = await RedisServer.start();
  await using stand = await GatewayStand.start({
    gateways: 2,
    limits: { tokens_per_minute: TOKENS_PER_MINUTE },
    flags: [`--store=${redis.url}`],
  });
  await storeReady(stand);
  const tally: Tally = { tokens: 0, byGateway: [0, 0], refused: 0 };
  const end = performance.now() + SECONDS * 1000;
  await Promise.all(Array.from({ length: CLIENTS }, (_, i) => hammer(stand, i, end, tally)));
  return {
    clients: CLIENTS,
    gateways: 2,
    tokens_per_minute: TOKENS_PER_MINUTE,
    tokens_used: tally.tokens,
    used_share: round4(tally.tokens / TOKENS_PER_MINUTE),
    overshoot_tokens: Math.max(0, tally.tokens - TOKENS_PER_MINUTE),
    answered: tally.byGateway,
    refused: tally.refused,
  };
}
