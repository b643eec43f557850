/** A page of a real browser on the WebSocket: its key is a subprotocol, and is never sent back. */
import assert from "node:assert/strict";
import { waitUntil, withGateway } from "../support/scripted_gateway.ts";
import { closeBrowser, withPage } from "./page.ts";

const KEY = "sk-browser-0123456789";

Deno.test.afterAll(closeBrowser);

/** Runs in the page. */
function ask(protocols: string[]): Promise<{ protocol: string; said: string[] }> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/v1/generate`, protocols);
    const said: string[] = [];
    const response = { model: "scripted", messages: [{ role: "user", content: "Hi" }] };
    socket.onopen = () => socket.send(JSON.stringify({ type: "response.create", response }));
    socket.onclose = () => resolve({ protocol: socket.protocol, said });
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      said.push(event.delta ?? "");
      if (event.type === "response.completed") socket.close();
    };
  });
}

Deno.test("a page brings its key as a subprotocol beside that of the messages", async () => {
  await withGateway(async ({ url, log }) => {
    await withPage(url, async (page) => {
      const both = ["redraft.json.v1", `openai-insecure-api-key.${KEY}`];
      for (const protocols of [both, both.toReversed()]) {
        const { protocol, said } = await page.evaluate(ask, protocols);
        assert.equal(said.join(""), "Hello, world!");
        assert.equal(protocol, "redraft.json.v1");
      }
      const alone = await page.evaluate(ask, [`openai-insecure-api-key.${KEY}`]);
      assert.deepEqual(alone, { protocol: "", said: [] });
      await waitUntil(() => log.lines.join().includes("missing_subprotocol"), "the log says why");
      assert.doesNotMatch(log.lines.join(), new RegExp(KEY));
    }, { mayLog: /401|WebSocket/ });
  }, { env: { REDRAFT_API_KEYS: KEY } });
});
