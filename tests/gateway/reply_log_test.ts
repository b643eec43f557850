import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readConfig } from "../../gateway/config.ts";
import { chatBody, type FixtureOptions, withGateway } from "../support/scripted_gateway.ts";

const KEY = "sk-reply-0123456789";
const sha256 = createHash("sha256").update(KEY).digest("hex");
const AS = { authorization: `Bearer ${KEY}` };

function withKey(limits: Record<string, unknown>): FixtureOptions {
  const file = JSON.stringify({ keys: [{ tenant: "acme", sha256, ...limits }] });
  return { adjust: (options) => options.keys = readConfig(file, new Map()).keys };
}

Deno.test("every reply has its id and time, and every request one line and one count", async () => {
  await withGateway(async ({ url, log, node }) => {
    const chat = JSON.stringify(chatBody());
    const bad = JSON.stringify(chatBody({ temperature: "warm" }));
    const text = JSON.stringify({ model: "scripted", prompt: "Hi" });
    const cases: Array<[string, string | undefined, HeadersInit, string, number]> = [
      ["/v1/models", undefined, AS, "/v1/models", 200],
      ["/tokenize", text, AS, "/tokenize", 200],
      ["/v1/chat/completions", chat, AS, "/v1/chat/completions", 200],
      ["/v1/chat/completions", bad, AS, "/v1/chat/completions", 400],
      ["/v1/chat/completions", chat, {}, "/v1/chat/completions", 401],
      ["/nowhere", undefined, AS, "none", 404],
      ["/tokenize", undefined, AS, "none", 405],
      ["/healthz", undefined, {}, "/healthz", 200],
    ];
    for (const [i, [path, body, headers, route, status]] of cases.entries()) {
      const response = await fetch(url + path, {
        method: body === undefined ? "GET" : "POST",
        body,
        headers: { ...headers, "content-type": "application/json", "x-request-id": `asked-${i}` },
      });
      await response.text();
      assert.equal(response.status, status, path);
      assert.equal(response.headers.get("x-request-id"), `asked-${i}`);
      assert.match(response.headers.get("server-timing") ?? "", /^gateway;dur=\d/, path);
      const lines = log.lines.map((line) => JSON.parse(line)).filter((line) =>
        line.request_id === `asked-${i}` && line.event === "request"
      );
      assert.equal(lines.length, 1, path);
      assert.deepEqual([lines[0].route, lines[0].status], [route, status]);
      const isKnown = "authorization" in headers && route !== "none";
      assert.equal(lines[0].tenant, isKnown && path !== "/healthz" ? "acme" : undefined);
    }
    assert.equal(node.submits.length, 1);
    const shown = await (await fetch(`${url}/metrics`, { headers: AS })).text();
    assert.match(shown, /redraft_gateway_requests_total\{route="none",status="404"\} 1/);
    assert.match(shown, /requests_total\{route="\/v1\/chat\/completions",status="401"\} 1/);
  }, withKey({}));
});

Deno.test("/tokenize counts against a key's requests, and against no tokens", async () => {
  await withGateway(async ({ post }) => {
    const statuses: number[] = [];
    for (let i = 0; i < 4; ++i) {
      const response = await post("/tokenize", { model: "scripted", prompt: "Hi" }, {
        headers: AS,
      });
      await response.text();
      statuses.push(response.status);
      const left = response.headers.get("x-ratelimit-remaining-requests");
      assert.equal(left, String(Math.max(0, 2 - i)));
      assert.equal(response.headers.get("x-ratelimit-limit-requests"), "3");
    }
    assert.deepEqual(statuses, [200, 200, 200, 429]);
  }, withKey({ requests_per_minute: 3, requests_in_flight_max: 1, tokens_per_minute: 1 }));
});

Deno.test("before a node was reached, a model is not unknown but not to be had", async () => {
  await withGateway(async ({ url, chat, post }) => {
    const replies = [
      await chat(),
      await post("/tokenize", { model: "scripted", prompt: "Hi" }),
      await fetch(`${url}/v1/models/scripted`),
    ];
    for (const reply of replies) {
      assert.equal(reply.status, 503);
      assert.equal((await reply.json()).error.code, "no_healthy_node");
      assert.equal(reply.headers.get("retry-after"), "2");
    }
  }, { nodes: [], args: ["--node", "ws://127.0.0.1:1/"] });
});
