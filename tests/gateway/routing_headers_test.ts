/** Headers by which a request wishes for a node, and the one by which it hears of it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ANYONE, type Principal } from "../../gateway/auth.ts";
import { readConfig } from "../../gateway/config.ts";
import { ApiError } from "../../gateway/errors.ts";
import { readRouting } from "../../gateway/routing_headers.ts";
import {
  chatBody,
  type Fixture,
  type FixtureOptions,
  statusOf,
  waitUntil,
  withGateway,
} from "../support/scripted_gateway.ts";

const OPERATOR: Principal = { tenant: "o", keyId: "1", priority: 0, mayPickNode: true };
const ROUTED = "x-smg-routed-worker-id";

function read(headers: Record<string, string>, principal = OPERATOR) {
  return readRouting(new Headers(headers), principal, 3);
}

function refused(headers: Record<string, string>): string | null {
  try {
    read(headers);
  } catch (error) {
    assert.ok(error instanceof ApiError && error.status === 400, String(error));
    return error.param;
  }
  throw new Error(`${JSON.stringify(headers)} is taken`);
}

Deno.test("a session has two names, a length and characters", () => {
  assert.deepEqual(read({}), {});
  assert.deepEqual(read({ "x-session-id": "a b" }), { session: "a b" });
  assert.deepEqual(read({ "x-smg-routing-key": "k" }), { session: "k" });
  assert.deepEqual(read({ "x-session-id": "a", "x-smg-routing-key": "k" }), { session: "a" });
  assert.deepEqual(read({ "x-session-id": "", "x-smg-routing-key": "k" }), { session: "k" });
  assert.deepEqual(read({ "x-smg-routing-key": "x".repeat(256) }), { session: "x".repeat(256) });
  for (const name of ["x-session-id", "x-smg-routing-key"]) {
    for (const value of ["x".repeat(257), "caf\u00e9", "a\tb"]) {
      assert.equal(refused({ [name]: value }), name);
    }
  }
});

Deno.test("a priority is a number from 0 to 100", () => {
  assert.deepEqual(read({ "x-redraft-priority": "7" }), { priority: 7 });
  for (const value of ["101", "-1", "1.5", "high", ""]) {
    assert.equal(refused({ "x-redraft-priority": value }), "x-redraft-priority");
  }
});

Deno.test("a node is named by a number that there is, by keys that may", () => {
  assert.deepEqual(read({ "x-smg-target-worker": "2" }), { nodeIndex: 2 });
  const wrong = ["3", "-1", "1.5", "0x1", "1e0", "", "0001", "node", "ws://10.0.0.5:9000"];
  for (const value of wrong) {
    assert.equal(refused({ "x-smg-target-worker": value }), "x-smg-target-worker");
  }
  // Of others it is as good as absent, whatever it holds.
  for (const value of [...wrong, "2"]) {
    assert.deepEqual(read({ "x-smg-target-worker": value }, ANYONE), {});
    const may: Principal = { ...OPERATOR, mayPickNode: false };
    assert.deepEqual(read({ "x-smg-target-worker": value }, may), {});
  }
});

const keyOf = (tenant: string) => `sk-${tenant}-0123456789`;

/** Three nodes; `op` may choose among them, `user` may not. */
function withThree(act: (fixture: Fixture) => Promise<void>, more: FixtureOptions = {}) {
  const keys = ["op", "user"].map((tenant) => ({
    tenant,
    sha256: createHash("sha256").update(keyOf(tenant)).digest("hex"),
    may_pick_node: tenant === "op",
  }));
  const file = readConfig(JSON.stringify({ keys }), new Map());
  return withGateway(act, {
    nodes: [{}, {}, {}],
    ...more,
    adjust: (options) => options.keys = file.keys,
  });
}

const as = (tenant: string, more: Record<string, string> = {}) => ({
  headers: { authorization: `Bearer ${keyOf(tenant)}`, ...more },
});
const aim = (tenant: string, node: number | string) =>
  as(tenant, { "x-smg-target-worker": String(node) });

async function routedOf(response: Response): Promise<string | null> {
  assert.equal(await statusOf(response), 200);
  return response.headers.get(ROUTED);
}

Deno.test("an answer names its node; who may choose gets the one it names", async () => {
  await withThree(async ({ chat, nodes }) => {
    const counts = () => nodes.map(({ submits }) => submits.length);
    for (let i = 0; i < 6; ++i) {
      assert.equal(await routedOf(await chat({ stream: i % 2 === 0 }, aim("op", 1))), "1");
    }
    assert.deepEqual(counts(), [0, 6, 0]);
    // Its answers are of that node: none is held, none is taken from another.
    for (const node of [0, 2]) {
      const response = await chat({ temperature: 0 }, aim("op", node));
      assert.equal(response.headers.get("x-redraft-cache"), "BYPASS");
      assert.equal(await routedOf(response), String(node));
    }
    // Who may not is spread as ever.
    const routed = new Set<string | null>();
    for (let i = 0; i < 9; ++i) routed.add(await routedOf(await chat({}, aim("user", 1))));
    assert.ok(routed.size > 1, [...routed].join());
    const told = await chat({ temperature: 0 }, as("user"));
    assert.match((await routedOf(told))!, /^[012]$/);
    const held = await chat({ temperature: 0 }, as("user"));
    assert.equal(held.headers.get("x-redraft-cache"), "HIT");
    assert.equal(await routedOf(held), null, "no node has worked for it");
    const wrong = await chat({}, aim("op", 3));
    assert.equal(wrong.status, 400);
    assert.equal((await wrong.json()).error.param, "x-smg-target-worker");
  });
});

Deno.test("what a WebSocket's handshake wishes holds for each of its generations", async () => {
  await withThree(async ({ url, nodes }) => {
    const open = (headers: Record<string, string>) =>
      new WebSocket(
        `${url.replace("http", "ws")}/v1/generate`,
        { headers: { authorization: `Bearer ${keyOf("op")}`, ...headers } } as unknown as string[],
      );
    const socket = open({ "x-smg-target-worker": "1" });
    let ended = 0;
    socket.onmessage = ({ data }) => {
      if (/^response\.(completed|incomplete)$/.test(JSON.parse(data).type)) ++ended;
    };
    await waitUntil(() => socket.readyState === WebSocket.OPEN, "socket open");
    for (let i = 0; i < 4; ++i) {
      const response = chatBody({ temperature: 0 });
      socket.send(JSON.stringify({ type: "response.create", response }));
    }
    await waitUntil(() => ended === 4, "all ended");
    assert.deepEqual(nodes.map(({ submits }) => submits.length), [0, 4, 0]);
    socket.close();
    await waitUntil(() => socket.readyState === WebSocket.CLOSED, "socket closed");
    const wrong = open({ "x-smg-target-worker": "3" });
    await waitUntil(() => wrong.readyState === WebSocket.CLOSED, "refused");
  });
});

Deno.test("both names of a session lead to the same node", async () => {
  await withThree(async ({ chat }) => {
    const homes = new Set<string | null>();
    let strayed = 0;
    for (let i = 0; i < 10; ++i) {
      const ask = async (name: string) =>
        await routedOf(await chat({ seed: 8 + i }, as("user", { [name]: `s${i}`, ...NO_STORE })));
      const home = await ask("x-session-id");
      if (await ask("x-smg-routing-key") !== home) ++strayed;
      if (await ask("x-smg-routing-key") !== home) ++strayed;
      homes.add(home);
    }
    assert.ok(homes.size > 1, "sessions are spread");
    // One pick in a hundred goes anywhere, to spread prefixes; without sessions two in three would.
    assert.ok(strayed <= 4, `${strayed} of 20 strayed`);
    const long = await chat({}, as("user", { "x-smg-routing-key": "x".repeat(257) }));
    assert.equal(long.status, 400);
    assert.equal((await long.json()).error.param, "x-smg-routing-key");
  });
});

const NO_STORE = { "cache-control": "no-store" };

Deno.test("a named node that is full or away is told of; nobody waits behind it", async () => {
  await withThree(async ({ chat, nodes, gateway }) => {
    nodes[0]!.script = (stream) => stream.text("one ");
    const open = await chat({ stream: true }, aim("op", 0));
    const full = await chat({}, aim("op", 0));
    assert.equal(full.status, 429);
    assert.equal(full.headers.get("retry-after"), "1");
    assert.equal((await full.json()).error.code, "queue_full");
    assert.equal(gateway.services.dispatcher.waitingCount, 0);
    assert.notEqual(await routedOf(await chat({}, as("user"))), "0");
    await open.body?.cancel();
    await nodes[2]!.stop();
    await waitUntil(() => gateway.services.pool.readyCount === 2, "one is away");
    const away = await chat({}, aim("op", 2));
    assert.equal(away.status, 503);
    assert.equal((await away.json()).error.code, "no_healthy_node");
    assert.equal(await routedOf(await chat({}, aim("op", 1))), "1");
  }, { nodes: [1, 2, 3].map(() => ({ slotsMax: 1, queueMax: 0 })) });
});

Deno.test("a named node that breaks is not replaced by another", async () => {
  await withThree(async ({ chat, nodes }) => {
    nodes[1]!.script = (stream) => stream.fail("engine", true);
    const broken = await chat({}, aim("op", 1));
    assert.equal(broken.status, 502);
    await broken.body?.cancel();
    assert.deepEqual(nodes.map(({ submits }) => submits.length), [0, 1, 0]);
    // One that was lost is waited for.
    let first = true;
    nodes[2]!.script = (stream) => {
      if (first) nodes[2]!.dropConnection();
      else {
        stream.text("back");
        stream.finish();
      }
      first = false;
    };
    const back = await chat({}, aim("op", 2));
    assert.equal(back.headers.get(ROUTED), "2");
    assert.equal((await back.json()).choices[0].message.content, "back");
    assert.deepEqual(nodes.map(({ submits }) => submits.length), [0, 1, 2]);
  });
});
