/** Several gateways on one real Redis, for tests. @module */
import { createHash } from "node:crypto";
import { readConfig } from "../../gateway/config.ts";
import { REDIS_PROGRAM, RedisServer } from "./redis_server.ts";
import { type Fixture, waitUntil, withGateway } from "./scripted_gateway.ts";

const KEY = "sk-shared-0123456789";
/** As the key's holder. */
export const AS = { headers: { authorization: `Bearer ${KEY}` } };

/** A test that needs redis-server; without one it is skipped, and counted so. */
export function redisTest(name: string, act: (server: RedisServer) => Promise<void>): void {
  Deno.test({
    name,
    ignore: !REDIS_PROGRAM,
    fn: async () => {
      await using server = await RedisServer.start();
      await act(server);
    },
  });
}

/** Two gateways, each with a node of its own. */
export function withTwo(
  server: RedisServer,
  limits: Record<string, unknown>,
  act: (first: Fixture, second: Fixture) => Promise<void>,
): Promise<void> {
  const sha256 = createHash("sha256").update(KEY).digest("hex");
  const { keys } = readConfig(
    JSON.stringify({ keys: [{ tenant: "t", sha256, ...limits }] }),
    new Map(),
  );
  const options = {
    args: ["--store", server.url],
    adjust: (given: { keys: unknown }) => given.keys = keys,
  };
  return withGateway((first) =>
    withGateway(async (second) => {
      for (const { gateway } of [first, second]) {
        await waitUntil(() => gateway.services.store!.isReady, "store ready");
      }
      await act(first, second);
    }, options), options);
}

/** What `redis-cli` prints. */
export async function redisCli({ url }: RedisServer, ...args: string[]): Promise<string> {
  const { stdout } = await new Deno.Command("redis-cli", { args: ["-u", url, "--raw", ...args] })
    .output();
  return new TextDecoder().decode(stdout).trim();
}
