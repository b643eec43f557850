import assert from "node:assert/strict";
import { PromptMemo } from "../../gateway/prompt_memo.ts";
import type { ChatMessage } from "../../gateway/request_messages.ts";
import { withGateway } from "../support/scripted_gateway.ts";

const user = (content: string): ChatMessage[] => [{ role: "user", content }];

Deno.test("a chat is rendered once for each tenant and model", () => {
  const memo = new PromptMemo();
  let rendered = 0;
  const ask = (scope: string, messages: ChatMessage[]) =>
    memo.tokens(scope, messages, () => Uint32Array.of(++rendered))[0];
  assert.equal(ask("a m", user("Hi")), 1);
  assert.equal(ask("a m", user("Hi")), 1);
  assert.equal(ask("b m", user("Hi")), 2);
  assert.equal(ask("a n", user("Hi")), 3);
  // No two chats have one key, however they are cut.
  assert.equal(ask("a m", [...user("x"), ...user("y")]), 4);
  assert.equal(ask("a m", user("x\nuser 1 y")), 5);
  assert.equal(ask("a m", [{ role: "system", content: "Hi" }]), 6);
});

Deno.test("what is kept is bounded, and long chats are not kept", () => {
  const memo = new PromptMemo();
  for (let i = 0; i < 3000; ++i) memo.tokens("a", user(`question ${i}`), () => new Uint32Array(1));
  assert.equal(memo.size, 1024);
  memo.tokens("a", user("x".repeat(5000)), () => new Uint32Array(1));
  memo.tokens("a", new Array(50).fill(user("x")[0]), () => new Uint32Array(1));
  assert.equal(memo.size, 1024);
  let again = false;
  memo.tokens("a", user("question 2999"), () => (again = true, new Uint32Array(1)));
  assert.ok(!again);
});

Deno.test("a template's refusal is not kept as tokens", async () => {
  const memo = new PromptMemo();
  const fail = () => {
    throw new Error("refused");
  };
  assert.throws(() => memo.tokens("a", user("Hi"), fail), /refused/);
  assert.throws(() => memo.tokens("a", user("Hi"), fail), /refused/);
  await withGateway(async ({ chat, node }) => {
    for (let i = 0; i < 2; ++i) await (await chat({ seed: i })).text();
    assert.deepEqual(node.submits[0]!.tokens, node.submits[1]!.tokens);
  });
});
