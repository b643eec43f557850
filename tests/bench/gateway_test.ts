import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { LoadClient, LoadError, runLoad } from "../../bench/gateway_load.ts";

const MOD = fileURLToPath(new URL("../../mod.ts", import.meta.url));

Deno.test("the load client reads whole and chunked answers, and refuses errors", async () => {
  const server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    async (http) => {
      const asked = await http.json();
      if (asked.n === 3) return new Response("no", { status: 500 });
      if (asked.n % 2 === 0) return Response.json({ text: "x".repeat(200_000) });
      const stream = new Blob(["data: 1\n\n", "y".repeat(100_000)]).stream();
      return new Response(stream, { headers: { "content-type": "text/event-stream" } });
    },
  );
  const target = { hostname: "127.0.0.1", port: server.addr.port, path: "/" };
  const client = await LoadClient.open(target);
  let streamed = 0;
  for (const n of [1, 2, 1, 4]) {
    await client.post(JSON.stringify({ n }), (bytes) => streamed += bytes.length);
  }
  assert.ok(streamed > 200_000);
  await assert.rejects(client.post('{"n":3}'), LoadError);
  client.close();
  const { latencies, perSecond } = await runLoad(target, 2, 0.2, () => '{"n":1}');
  assert.ok(latencies.length > 2 && perSecond > 0);
  await server.shutdown();
});

Deno.test("bench gateway prints its keys, all of them measured", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", MOD, "bench", "gateway"],
      ...["--rounds", "1", "--seconds", "1", "--streams", "20", "--json"],
    ],
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  const figures = JSON.parse(new TextDecoder().decode(stdout));
  const measured = [
    "direct_p50_ms",
    "requests_per_second",
    "p99_ms",
    "cache_hits_per_second",
    "stream_tokens_per_second",
  ];
  for (const key of measured) assert.ok(figures[key] > 0, key);
  assert.ok(Number.isFinite(figures.added_p50_ms) && figures.added_p50_ms < 1000);
  assert.deepEqual(figures.peers, {});
  assert.equal(figures.prefix_first_token_ratio, null);
});
