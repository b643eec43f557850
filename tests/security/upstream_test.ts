/** Nothing in a request leads the server anywhere. */
import assert from "node:assert/strict";
import { readConfig } from "../../gateway/config.ts";
import { chatBody, statusOf, withGateway } from "../support/scripted_gateway.ts";
import { AS_A, attack, errorOf, KEY_A } from "./attack.ts";
import { keyFile } from "./key_file.ts";

/** A server that nobody should ever call. */
async function withBait(act: (url: string, host: string) => Promise<void>): Promise<void> {
  let calls = 0;
  const bait = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
    calls++;
    return new Response("{}");
  });
  try {
    const host = `127.0.0.1:${bait.addr.port}`;
    await act(`http://${host}/v1`, host);
    assert.equal(calls, 0, "it was called");
  } finally {
    await bait.shutdown();
  }
}

attack(1, async () => {
  await withBait(async (url, host) => {
    await withGateway(async ({ chat, node }) => {
      const fields = [
        "api_base",
        "base_url",
        "url",
        "endpoint",
        "upstream",
        "custom_host",
        "proxy",
      ];
      const targets = [
        url,
        "http://169.254.169.254/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
      ];
      for (const field of fields) {
        for (const target of targets) {
          const { param, code } = await errorOf(await chat({ [field]: target }), 400);
          assert.deepEqual([param, code], [field, "unknown_parameter"]);
        }
      }
      assert.equal((await errorOf(await chat({ model: url }), 404)).code, "model_not_found");
      // Headers by which other gateways choose one are nothing here.
      const headers = {
        "x-portkey-custom-host": url,
        "x-smg-target-worker": `ws://${host}`,
        "x-forwarded-host": host,
        "x-upstream": url,
        "forwarded": `host=${host}`,
      };
      assert.equal(await statusOf(await chat({}, { headers })), 200);
      assert.equal(node.submits.length, 1, "the node that is configured");
    });
    // A key that may choose among nodes chooses by number: no address, no form of one, is a node.
    const file = readConfig(keyFile({ alice: KEY_A }, { may_pick_node: true }), new Map());
    await withGateway(async ({ chat, node }) => {
      for (const target of [url, `ws://${host}`, host, node.url, "1", "-1", "2130706433"]) {
        const headers = { ...AS_A.headers, "x-smg-target-worker": target };
        const { param } = await errorOf(await chat({}, { headers }), 400);
        assert.equal(param, "x-smg-target-worker");
      }
      assert.equal(node.submits.length, 0);
      const headers = { ...AS_A.headers, "x-smg-target-worker": "0" };
      const response = await chat({}, { headers });
      assert.equal(response.headers.get("x-smg-routed-worker-id"), "0", "a number, no address");
      assert.equal(await statusOf(response), 200);
    }, { adjust: (options) => options.keys = file.keys });
  });
});

attack(2, async () => {
  await withBait(async (url) => {
    await withGateway(async ({ chat, post, node }) => {
      const parts = [
        { type: "image_url", image_url: { url } },
        { type: "input_audio", input_audio: { data: url, format: "wav" } },
        { type: "file", file: { file_id: url } },
        { type: "video_url", video_url: { url } },
      ];
      for (const part of parts) {
        const messages = [{ role: "user", content: [part] }];
        const { param } = await errorOf(await chat({ messages }), 400);
        assert.equal(param, "messages[0].content[0].type");
      }
      const content = [{ type: "input_image", image_url: url }];
      const input = [{ role: "user", content }];
      await errorOf(await post("/v1/responses", { model: "scripted", input }), 400);
      // A schema refers to itself alone: nothing is fetched for it.
      for (const $ref of [url, "file:///etc/passwd", "//127.0.0.1/x", "other.json#/a"]) {
        const response_format = {
          type: "json_schema",
          json_schema: { name: "x", schema: { $ref } },
        };
        const { param } = await errorOf(await chat({ response_format }), 400);
        assert.equal(param, "response_format.json_schema.schema.$ref");
      }
      assert.equal(node.submits.length, 0);
      assert.equal(await statusOf(await chat(chatBody())), 200);
    });
  });
});
