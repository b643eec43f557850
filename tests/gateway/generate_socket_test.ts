import assert from "node:assert/strict";
import { ANYONE } from "../../gateway/auth.ts";
import { GenerateSocket, IN_FLIGHT_MAX } from "../../gateway/generate_socket.ts";
import { BUFFERED_BYTES_HIGH } from "../../gateway/socket_writer.ts";
import { SocketClient } from "../support/socket_client.ts";
import { chatBody, waitUntil, withGateway } from "../support/scripted_gateway.ts";
import type { Fixture, FixtureOptions } from "../support/scripted_gateway.ts";

async function withClient(
  act: (client: SocketClient, fixture: Fixture) => Promise<void>,
  options?: FixtureOptions,
): Promise<void> {
  await withGateway(async (fixture) => {
    const client = await SocketClient.open(fixture.url);
    await act(client, fixture);
    client.socket.close();
    await waitUntil(() => fixture.gateway.services.sockets.size === 0, "socket gone");
    assert.equal(fixture.gateway.services.activeCount, 0);
  }, options);
}

Deno.test("a generation comes as numbered events", async () => {
  await withClient(async (client) => {
    client.create({}, "mine");
    const { response } = await client.event("response.completed");
    const created = client.events[0];
    assert.equal(created.type, "response.created");
    assert.equal(created.event_id, "mine");
    assert.deepEqual(client.events.map((event) => event.sequence_number), [0, 1, 2, 3, 4]);
    assert.ok(client.events.every((event) => event.response_id === created.response_id));
    const deltas = client.events.filter((event) => event.type === "response.output_text.delta");
    assert.equal(deltas.map((event) => event.delta).join(""), "Hello, world!");
    assert.equal(response.usage.completion_tokens, 13);
  });
});

Deno.test("many generations share a socket, and each is whole", async () => {
  await withClient(async (client, { node }) => {
    node.script = async (stream) => {
      for (const part of [...stream.promptText.trim()]) {
        stream.text(part);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      stream.finish("length");
    };
    for (let i = 0; i < 20; ++i) {
      client.create({ messages: [{ role: "user", content: `n${i}` }] }, `e${i}`);
    }
    const ended = () => client.events.filter((event) => event.type === "response.incomplete");
    await waitUntil(() => ended().length === 20, "all ended");
    for (const created of client.events.filter((event) => event.type === "response.created")) {
      const own = client.events.filter((event) => event.response_id === created.response_id);
      assert.deepEqual(own.map((event) => event.sequence_number), own.map((_, i) => i));
      const text = own.map((event) => event.delta ?? "").join("");
      assert.equal(text, `user: n${created.event_id.slice(1)}`);
    }
  });
});

Deno.test("response.cancel ends the one it names", async () => {
  await withClient(async (client, { node }) => {
    node.script = (stream) => stream.text("on and on");
    client.create();
    const { response_id } = await client.event("response.output_text.delta");
    client.send({ type: "response.cancel", response_id });
    const cancelled = await client.event("response.cancelled");
    assert.equal(cancelled.response.status, "cancelled");
    await waitUntil(() => node.streams.size === 0, "node stream gone");
    client.send({ type: "response.cancel", response_id });
    assert.equal((await client.event("error")).error.code, "response_not_found");
  });
});

Deno.test("a client that closes its socket cancels all that ran on it", async () => {
  await withGateway(async ({ url, node, gateway }) => {
    node.script = (stream) => stream.text("on");
    const client = await SocketClient.open(url);
    for (let i = 0; i < 3; ++i) client.create();
    await waitUntil(() => node.streams.size === 3, "three streams");
    client.socket.close();
    await waitUntil(() => node.streams.size === 0, "no streams");
    assert.equal(node.cancels.length, 3);
    assert.equal(gateway.services.activeCount, 0);
  });
});

Deno.test("errors are events, and the socket goes on", async () => {
  await withClient(async (client, { node }) => {
    const cases: Array<[unknown, string]> = [
      ["{", "invalid_json"],
      ["[]", "invalid_type"],
      [{ type: "response.fly" }, "invalid_value"],
      [{ type: "response.create" }, "missing_required_parameter"],
      [{ type: "response.create", response: chatBody({ model: "other" }) }, "model_not_found"],
      [{ type: "response.create", response: chatBody({ stop: 1 }) }, "invalid_type"],
    ];
    for (const [message, code] of cases) {
      client.events.length = 0;
      client.send(message);
      assert.equal((await client.event("error")).error.code, code);
    }
    node.script = (stream) => {
      stream.text("half");
      stream.fail("engine", false);
    };
    client.create();
    const failed = await client.event("response.failed");
    assert.equal(failed.response.error.code, "upstream_error");
    client.send({ type: "response.create", response: { model: "scripted", prompt: "a" } });
  });
});

Deno.test("in-flight responses are bounded", async () => {
  await withClient(async (client, { node }) => {
    node.script = () => {};
    for (let i = 0; i <= IN_FLIGHT_MAX; ++i) client.create();
    assert.equal((await client.event("error")).error.code, "too_many_in_flight");
    await waitUntil(() => node.submits.length >= IN_FLIGHT_MAX, "submits");
    assert.equal(node.submits.length, IN_FLIGHT_MAX);
  }, { nodes: [{ slotsMax: 100 }] });
});

Deno.test("binary messages and too big ones close the socket", async () => {
  await withGateway(async ({ url }) => {
    const cases: Array<[(client: SocketClient) => void, number]> = [
      [(client) => client.socket.send(Uint8Array.of(1)), 1003],
      [(client) => client.send("x".repeat((1 << 20) + 1)), 1009],
    ];
    for (const [act, code] of cases) {
      const client = await SocketClient.open(url);
      act(client);
      await waitUntil(() => client.closed !== undefined, "closed");
      assert.equal(client.closed!.code, code);
    }
  }, { args: ["--body-max-mib", "1"] });
});

Deno.test("a flood of messages closes the socket", async () => {
  await withGateway(({ gateway }) => {
    let closedWith = 0;
    let sentCount = 0;
    const session = new GenerateSocket(gateway.services, ANYONE, {
      bufferedAmount: 0,
      send: () => ++sentCount,
      close: (code) => {
        closedWith = code;
      },
    });
    for (let i = 0; i < 400; ++i) session.receive("{}");
    assert.equal(closedWith, 1008);
    assert.ok(sentCount < 300);
    return Promise.resolve();
  });
});

Deno.test("a foreign origin is refused before the upgrade, others are not", async () => {
  await withGateway(async ({ url, gateway }) => {
    const status = async (origin: string) => {
      const response = await fetch(`${url}/v1/generate`, { headers: { origin } });
      await response.body?.cancel();
      return response.status;
    };
    assert.equal(await status("https://evil.example"), 403);
    assert.equal(await status("null"), 403);
    assert.equal(await status(`http://127.0.0.1:${gateway.port}`), 426);
    assert.equal(await status("https://good.example"), 426);
    const evil = await SocketClient.open(url, { headers: { origin: "https://evil.example" } });
    assert.equal(evil.socket.readyState, WebSocket.CLOSED);
    assert.equal(gateway.services.sockets.size, 0);
  }, { args: ["--allow-origin", "https://good.example"] });
});

Deno.test("a key comes as a header or as a subprotocol, never in the URL", async () => {
  const key = "sk-0123456789";
  await withGateway(async ({ url }) => {
    const tries: Array<[Record<string, unknown>, number]> = [
      [{ headers: { authorization: `Bearer ${key}` } }, WebSocket.OPEN],
      [
        { protocols: ["redraft.json.v1", `openai-insecure-api-key.${key}`] },
        WebSocket.OPEN,
      ],
      [{ protocols: ["redraft.json.v1", "openai-insecure-api-key.wrong"] }, WebSocket.CLOSED],
      // Alone it is enough, but for a browser, which would drop what it was not answered to.
      [{ protocols: [`openai-insecure-api-key.${key}`] }, WebSocket.OPEN],
      [
        { protocols: [`openai-insecure-api-key.${key}`], headers: { origin: url } },
        WebSocket.CLOSED,
      ],
      [
        {
          protocols: ["redraft.json.v1", `openai-insecure-api-key.${key}`],
          headers: { origin: url },
        },
        WebSocket.OPEN,
      ],
      [{}, WebSocket.CLOSED],
    ];
    for (const [options, state] of tries) {
      const client = await SocketClient.open(url, options);
      assert.equal(client.socket.readyState, state);
      client.socket.close();
    }
    const inUrl = await fetch(`${url}/v1/generate?key=${key}`);
    assert.equal(inUrl.status, 401);
    await inUrl.body?.cancel();
  }, { env: { REDRAFT_API_KEYS: key } });
});

Deno.test("sockets are told when the gateway drains, then closed", async () => {
  await withGateway(async ({ url, gateway, node }) => {
    node.script = (stream) => {
      stream.text("one");
      setTimeout(() => stream.finish("length"), 50);
    };
    const client = await SocketClient.open(url);
    client.create();
    await client.event("response.output_text.delta");
    const drained = gateway.drain();
    await client.event("server.draining");
    await client.event("response.incomplete");
    await drained;
    await waitUntil(() => client.closed !== undefined, "closed");
    assert.equal(client.closed!.code, 1001);
  });
});

Deno.test("a reader that takes nothing holds the node back, and is let go", async () => {
  await withGateway(async ({ gateway, node }) => {
    node.script = async (stream) => {
      while (stream.sent < 4000 && !stream.cancelled) {
        if (stream.sent >= stream.credit) await stream.changed();
        else stream.tokens(Array(Math.min(500, stream.credit - stream.sent)).fill(97));
      }
    };
    let closedWith = 0;
    const sent: string[] = [];
    let bufferedAmount = 0;
    const socket = {
      get bufferedAmount() {
        return bufferedAmount;
      },
      send: (text: string) => sent.push(text),
      close: (code: number) => {
        closedWith = code;
      },
    };
    let now = 0;
    const services = Object.create(gateway.services, { now: { value: () => now } });
    const session = new GenerateSocket(
      services,
      ANYONE,
      socket,
    );
    bufferedAmount = BUFFERED_BYTES_HIGH + 1;
    const body = chatBody({ max_tokens: 4000 });
    session.receive(JSON.stringify({ type: "response.create", response: body }));
    const stream = () => [...node.streams.values()][0];
    await waitUntil(() => stream()?.sent === 1024, "credit used up");
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(stream()!.sent, 1024);
    assert.equal(sent.length, 1);
    bufferedAmount = 0;
    await waitUntil(() => stream()?.sent === 4000, "went on");
    bufferedAmount = BUFFERED_BYTES_HIGH + 1;
    stream()!.text("x");
    await new Promise((resolve) => setTimeout(resolve, 30));
    now = 31_000;
    await waitUntil(() => closedWith === 1013, "let go");
    assert.equal(gateway.services.activeCount, 0);
  });
});
