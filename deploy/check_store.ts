/** Asks the Redis that REDRAFT_STORE names how it is, before gateways start: reached, let in, new
 * enough. Says what to set, and never the address' password. @module */
import { createClient } from "@redis/client";

const CONNECT_MS_MAX = 3000;

function refuse(words: string): never {
  console.error(`deploy: ${words}`);
  Deno.exit(1);
}

function isOlder(version: string, least: string): boolean {
  return version.localeCompare(least, "en", { numeric: true }) < 0;
}

const [least] = Deno.args;
const address = Deno.env.get("REDRAFT_STORE") ?? "";
const url = URL.parse(address);
if (url === null || !/^rediss?:$/.test(url.protocol)) {
  refuse("--store is not a redis:// or rediss:// address: set redis://HOST:PORT");
}
if (!/^(\/\d{0,5})?$/.test(url.pathname)) {
  refuse("--store must end in its port or in /N, the number of a database");
}
const client = createClient({
  url: address,
  socket: { connectTimeout: CONNECT_MS_MAX, reconnectStrategy: false },
});
client.on("error", () => {}); // connect() throws the same.
try {
  await client.connect();
  const version = /redis_version:(\S+)/.exec(await client.info("server"))?.[1] ?? "0";
  if (isOlder(version, least!)) {
    refuse(`Redis ${version} at ${url.host} is too old: ${least} or newer is needed`);
  }
} catch (error) {
  const words = error instanceof Error ? error.message : String(error);
  refuse(`Cannot use the Redis at ${url.host}: ${words}; set --store, or leave it out`);
}
client.destroy();
