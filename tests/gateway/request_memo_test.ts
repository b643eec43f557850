import assert from "node:assert/strict";
import { readChatRequest } from "../../gateway/request.ts";
import { RequestMemo } from "../../gateway/request_memo.ts";
import { chatBody, withGateway } from "../support/scripted_gateway.ts";

const read = (text: string) => () => readChatRequest(JSON.parse(text));
const GREEDY = JSON.stringify(chatBody({ temperature: 0 }));

Deno.test("RequestMemo reads a body once for each tenant, and never what is drawn anew", () => {
  const memo = new RequestMemo();
  const first = memo.read("chat a", GREEDY, read(GREEDY));
  assert.equal(memo.read("chat a", GREEDY, () => assert.fail("read again")), first);
  assert.notEqual(memo.read("chat b", GREEDY, read(GREEDY)), first, "another tenant's is apart");
  const drawn = JSON.stringify(chatBody({ temperature: 1 }));
  const once = memo.read("chat a", drawn, read(drawn));
  assert.notEqual(memo.read("chat a", drawn, read(drawn)), once);
  const long = JSON.stringify(chatBody({ temperature: 0, user: "x".repeat(5000) }));
  memo.read("chat a", long, () => first);
  assert.equal(memo.size, 2);
  for (let n = 0; n < 3000; ++n) {
    const text = JSON.stringify(chatBody({ seed: n }));
    memo.read("chat a", text, read(text));
  }
  assert.equal(memo.size, 1024, "it is bounded");
});

Deno.test("RequestMemo keeps a plan for one model and one way of asking", () => {
  const memo = new RequestMemo();
  const request = memo.read("s", GREEDY, read(GREEDY));
  const plan = { digest: "d", isAsked: false, promptTokens: [], keys: ["k"] };
  assert.equal(memo.plan(request, "d", false), undefined);
  memo.keep(request, plan);
  assert.equal(memo.plan(request, "d", false), plan);
  assert.equal(memo.plan(request, "other", false), undefined);
  assert.equal(memo.plan(request, "d", true), undefined);
  const stranger = readChatRequest(JSON.parse(GREEDY));
  memo.keep(stranger, plan);
  assert.equal(memo.plan(stranger, "d", false), undefined, "only what it handed out");
});

Deno.test("a body asked again is held, bypassed or refreshed as its headers say", async () => {
  await withGateway(async ({ chat, node }) => {
    const ask = async (headers: Record<string, string> = {}) => {
      const response = await chat({ temperature: 0 }, { headers });
      await response.text();
      return response.headers.get("x-redraft-cache");
    };
    assert.equal(await ask({ "cache-control": "no-store" }), "BYPASS");
    assert.equal(await ask(), "MISS");
    assert.equal(await ask(), "HIT");
    assert.equal(await ask({ "cache-control": "no-store" }), "BYPASS");
    assert.equal(await ask({ "cache-control": "no-cache" }), "REFRESH");
    assert.equal(await ask({ "x-redraft-cache-ttl": "60" }), "HIT");
    assert.equal(await ask(), "HIT");
    assert.equal(node.submits.length, 4);
  });
});
