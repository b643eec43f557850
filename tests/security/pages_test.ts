/** Web pages: which may connect, what they may read, what they show. */
import assert from "node:assert/strict";
import { once } from "node:events";
// @ts-types="@types/ws"
import { WebSocket as Client } from "ws";
import { waitUntil, withGateway } from "../support/scripted_gateway.ts";
import { chatBody, statusOf } from "../support/scripted_gateway.ts";
import { AS_A, attack, errorOf, KEY_A, KEYED } from "./attack.ts";

const EVIL = "https://evil.example";
const GOOD = "https://good.example";

attack(23, async () => {
  await withGateway(async ({ url, gateway }) => {
    const upgrade = (origin: string, more: Record<string, string> = {}) =>
      fetch(`${url}/v1/generate`, { headers: { origin, ...AS_A.headers, ...more } });
    const own = `http://127.0.0.1:${gateway.port}`;
    const foreign = [
      EVIL,
      "null",
      "file://",
      `${GOOD}.evil.example`,
      GOOD.toUpperCase(),
      `${own}0`,
    ];
    for (const origin of foreign) {
      assert.equal((await errorOf(await upgrade(origin), 403)).code, "origin_not_allowed", origin);
    }
    // Let through to the upgrade, which these requests do not ask for.
    for (const origin of [GOOD, own]) await errorOf(await upgrade(origin), 426);
    // A key in the URL, where logs would have it, is no key; nor is a cookie.
    const bare = await fetch(`${url}/v1/generate?api_key=${KEY_A}`, {
      headers: { origin: GOOD, cookie: `key=${KEY_A}` },
    });
    await errorOf(bare, 401);
    assert.equal(gateway.services.sockets.size, 0);
  }, { ...KEYED, args: ["--allow-origin", GOOD] });
});

/** A socket that is open, and how it ends. */
async function openSocket(url: string): Promise<{ socket: WebSocket; closed: Promise<number> }> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/generate`);
  const closed = new Promise<number>((resolve) => socket.onclose = ({ code }) => resolve(code));
  await new Promise((resolve) => socket.onopen = resolve);
  return { socket, closed };
}

attack(24, async () => {
  await withGateway(async ({ url, gateway, chat, node }) => {
    const { sockets, socketSlots } = gateway.services;
    const gone = (what: string) => waitUntil(() => socketSlots.count === 0, what);
    const flood = await openSocket(url);
    for (let i = 0; i < 400; i++) flood.socket.send('{"type":"ping"}');
    assert.equal(await flood.closed, 1008, "too many messages");
    await gone("it is let go");
    const deluge = await openSocket(url);
    for (let i = 0; i < 2000 && deluge.socket.readyState === WebSocket.OPEN; i++) {
      deluge.socket.send('{"type":"ping"}');
    }
    assert.equal(await deluge.closed, 1008, "sent on");
    assert.equal(sockets.size, 0);
    await gone("it is let go, too");
    const huge = await openSocket(url);
    huge.socket.send("x".repeat(2 << 20));
    assert.equal(await huge.closed, 1009, "too much in one");
    // The same in fragments, of which none is the last.
    const endless = new Client(`${url.replace("http", "ws")}/v1/generate`);
    await once(endless, "open");
    let sentMib = 0;
    const more = () => {
      if (endless.readyState !== Client.OPEN || ++sentMib > 64) return;
      endless.send("x".repeat(1 << 20), { fin: false }, more);
    };
    more();
    assert.equal((await once(endless, "close"))[0], 1009, "too much in fragments");
    assert.ok(sentMib <= 16, `${sentMib} MiB were taken`);
    const binary = await openSocket(url);
    binary.socket.send(new Uint8Array(10));
    assert.equal(await binary.closed, 1003);
    // More at once than a socket may have: errors, and no more than that many on the node.
    const plain = node.script;
    node.script = () => {};
    const greedy = await openSocket(url);
    const errors: string[] = [];
    greedy.socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "error") errors.push(event.error.code);
    };
    for (let i = 0; i < 80; i++) {
      const response = chatBody({ seed: i, max_tokens: 5 });
      greedy.socket.send(JSON.stringify({ type: "response.create", response }));
    }
    await waitUntil(() => errors.length === 16, "the rest is refused");
    assert.ok(errors.every((code) => code === "too_many_in_flight"));
    await waitUntil(() => node.submits.length > 0, "the others run or wait");
    assert.ok(node.submits.length <= 64);
    greedy.socket.close();
    await greedy.closed;
    await waitUntil(() => node.streams.size === 0 && sockets.size === 0, "all is given back");
    node.script = plain;
    assert.equal(await statusOf(await chat()), 200);
    await gone("the others, too");
    const open = await Promise.all([openSocket(url), openSocket(url)]);
    const third = new WebSocket(`${url.replace("http", "ws")}/v1/generate`);
    third.onerror = (event) => event.preventDefault();
    await new Promise((resolve) => third.onclose = resolve);
    assert.equal(socketSlots.count, 2, "no third one");
    for (const { socket, closed } of open) {
      socket.close();
      await closed;
    }
  }, { args: ["--body-max-mib", "1", "--sockets-max", "2"] });
});

attack(27, async () => {
  const preflight = (url: string, origin: string) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type, x-stainless-lang",
      },
    });
  const grant = "access-control-allow-origin";
  // By default no page reads anything, and none can send JSON.
  await withGateway(async ({ url, chat }) => {
    for (const origin of [EVIL, GOOD, "null"]) {
      const asked = await preflight(url, origin);
      assert.equal(asked.status, 405);
      assert.equal(asked.headers.get(grant), null);
      await asked.body?.cancel();
      const answer = await chat({}, { headers: { origin } });
      assert.equal(answer.headers.get(grant), null);
      await answer.body?.cancel();
      // What a page may send without asking is refused for its type.
      const init = { headers: { origin, "content-type": "text/plain" } };
      await errorOf(await chat({}, init), 415);
    }
    for (const path of ["/", "/playground.js", "/playground.css"]) {
      const response = await fetch(url + path);
      const policy = response.headers.get("content-security-policy")!;
      assert.match(policy, /default-src 'none'/);
      assert.match(policy, /frame-ancestors 'none'/);
      assert.doesNotMatch(policy, /unsafe-|\*|https?:/);
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      assert.equal(response.headers.get("set-cookie"), null);
      await response.body?.cancel();
    }
  });
  // One that is named may, and no other; errors are readable, too.
  await withGateway(async ({ url, chat }) => {
    const asked = await preflight(url, GOOD);
    assert.equal(asked.status, 204);
    assert.equal(asked.headers.get(grant), GOOD);
    assert.equal(asked.headers.get("access-control-allow-methods"), "POST");
    assert.match(asked.headers.get("access-control-allow-headers")!, /authorization.*x-stainless/);
    assert.equal(asked.headers.get("access-control-allow-credentials"), null);
    assert.match(asked.headers.get("vary")!, /origin/);
    const evil = await preflight(url, EVIL);
    assert.equal(evil.status, 405);
    await evil.body?.cancel();
    for (const body of [{}, { stream: true }, { temperature: 9 }]) {
      const good = await chat(body, { headers: { origin: GOOD } });
      assert.equal(good.headers.get(grant), GOOD);
      assert.match(good.headers.get("vary")!, /origin/);
      await good.body?.cancel();
      const bad = await chat(body, { headers: { origin: EVIL } });
      assert.equal(bad.headers.get(grant), null);
      await bad.body?.cancel();
    }
  }, { args: ["--cors-origin", GOOD] });
  // A model's words become text on the page, whatever they are.
  const sources = new URL("../../playground/src/", import.meta.url);
  for await (const { name } of Deno.readDir(sources)) {
    if (!name.endsWith(".ts")) continue;
    const text = await Deno.readTextFile(new URL(name, sources));
    assert.doesNotMatch(
      text,
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/,
      name,
    );
  }
});
