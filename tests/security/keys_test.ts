/** Keys: who gets in, and what the way there tells. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { ROUTES } from "../../gateway/app.ts";
import { KeyRing } from "../../gateway/auth.ts";
import { ApiError } from "../../gateway/errors.ts";
import { OptionError, readOptions } from "../../gateway/options.ts";
import { startGateway } from "../../gateway/gateway.ts";
import { MemoryLog, statusOf, withGateway } from "../support/scripted_gateway.ts";
import { AS_A, AS_B, attack, errorOf, KEY_A, KEY_B, KEYED, raw, statusIn } from "./attack.ts";
import { chanceOf } from "./chance.ts";

attack(3, async () => {
  await withGateway(async ({ url, chat }) => {
    const tries = [
      "Bearer ' OR '1'='1",
      `Bearer ${KEY_A}' --`,
      `Bearer ${KEY_A}\u00a0`,
      "Bearer *",
      "Bearer %00",
      `Basic ${btoa(`${KEY_A}:`)}`,
      `Bearer ${KEY_A}, Bearer ${KEY_B}`,
      "Bearer __proto__",
      "Bearer",
      "",
    ];
    for (const authorization of tries) {
      assert.equal(
        await statusOf(await fetch(`${url}/v1/models`, { headers: { authorization } })),
        401,
      );
    }
    const header = fc.string({ unit: "grapheme-ascii", maxLength: 600 });
    await fc.assert(
      fc.asyncProperty(header, async (text) => {
        fc.pre(!/[^\x20-\x7e]/.test(text) && !text.includes(KEY_A) && !text.includes(KEY_B));
        const headers = { authorization: `Bearer ${text}` };
        assert.equal(await statusOf(await fetch(`${url}/v1/models`, { headers })), 401);
      }),
      { numRuns: 200 },
    );
    assert.equal(await statusOf(await chat({}, AS_A)), 200);
  }, KEYED);
});

attack(4, async () => {
  await withGateway(async (fixture) => {
    for (const { method, path, scope } of ROUTES) {
      const at = path.replace(":id{.+}", "scripted");
      const response = await fetch(fixture.url + at, {
        method,
        ...(method === "POST"
          ? { body: "{}", headers: { "content-type": "application/json" } }
          : {}),
      });
      assert.equal(await statusOf(response) === 401, scope !== "public", `${method} ${at}`);
    }
    // Whatever a proxy might make of a path or a header, the router's own reading decides.
    const tricks = [
      "GET //v1/models HTTP/1.1\r\nHost: localhost",
      "GET /v1/models/ HTTP/1.1\r\nHost: localhost",
      "GET /healthz/../v1/models HTTP/1.1\r\nHost: localhost",
      "GET /healthz%2f..%2fv1/models HTTP/1.1\r\nHost: localhost",
      "GET /healthz;/v1/models HTTP/1.1\r\nHost: localhost",
      "GET /v1/models?x=/healthz HTTP/1.1\r\nHost: localhost",
      "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Original-URL: /healthz",
      "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Rewrite-URL: /healthz",
      "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 127.0.0.1",
      "POST /healthz HTTP/1.1\r\nHost: localhost\r\nX-Method-Override: GET\r\nContent-Length: 0",
      "GET http://localhost/v1/models HTTP/1.1\r\nHost: localhost",
      "GET /v1/models HTTP/1.1\r\nHost: localhost/healthz",
    ];
    for (const head of tricks) {
      const status = statusIn(await raw(fixture, `${head}\r\nConnection: close\r\n\r\n`));
      assert.ok([400, 401, 403, 404, 405].includes(status), `${status}: ${head}`);
    }
  }, KEYED);
});

attack(5, async () => {
  await withGateway(async ({ chat, gateway, node }) => {
    const near = [
      KEY_A.slice(0, -1),
      `${KEY_A}0`,
      KEY_A.toUpperCase(),
      KEY_A.replace("alice", "bobby").slice(0, -1) + "8",
    ];
    for (let i = 0; i < 3; i++) {
      assert.equal(await statusOf(await chat({}, AS_A)), 200);
      for (const key of near) {
        const init = { headers: { authorization: `Bearer ${key}` } };
        assert.equal(
          await statusOf(await chat({}, init)),
          401,
          "beside a good one",
        );
      }
      assert.equal(await statusOf(await chat({}, AS_B)), 200);
    }
    assert.deepEqual(node.submits.map(({ salt }) => salt).slice(0, 2), ["alice", "bobby"]);
    // A key that is taken away is out at once: no verdict is kept.
    gateway.setKeys(new KeyRing(KeyRing.parse(`bobby=${KEY_B}`)));
    assert.equal(await statusOf(await chat({}, AS_A)), 401);
  }, KEYED);
});

attack(6, async () => {
  await withGateway(async ({ url, gateway }) => {
    const before = JSON.stringify(gateway.services.options);
    for (
      const path of [
        "/config",
        "/config/update",
        "/admin",
        "/v1/keys",
        "/key/generate",
        "/workers",
        "/v1/config",
        "/reload",
        "/debug",
        "/env",
      ]
    ) {
      for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH"]) {
        const response = await fetch(url + path, { method, ...AS_A });
        assert.equal(await statusOf(response), 404, `${method} ${path}`);
      }
    }
    assert.equal(JSON.stringify(gateway.services.options), before);
    assert.ok(ROUTES.every(({ method }) => method === "GET" || method === "POST"));
  }, KEYED);
});

/** A wrong key whose digest begins as that of `key` does. */
function nearMiss(key: string): string {
  const digestOf = (text: string) => createHash("sha256").update(text).digest();
  const wanted = digestOf(key).readUInt16BE(0);
  for (let i = 0;; i++) {
    if (digestOf(`sk-wrong-${i}`).readUInt16BE(0) === wanted) return `sk-wrong-${i}`;
  }
}

attack(7, async () => {
  const keys = Array.from({ length: 512 }, (_, i) => `sk-${i}-0123456789abcdef`);
  const ring = new KeyRing(KeyRing.parse(keys.map((key, i) => `tenant-${i}=${key}`).join(",")));
  const timeOf = (key: string) => {
    const startedAt = performance.now();
    for (let i = 0; i < 10; i++) {
      try {
        ring.authenticateKey(key);
      } catch (error) {
        assert.ok(error instanceof ApiError);
      }
    }
    return performance.now() - startedAt;
  };
  const pairs = [[keys[0]!, keys[511]!], [nearMiss(keys[0]!), "sk-wrong-ffff"]] as const;
  for (const [one, other] of pairs) {
    for (let i = 0; i < 100; i++) timeOf(one) + timeOf(other); // Compiled by now.
    const times: number[][] = [[], []];
    for (let i = 0; i < 300; i++) {
      // In turns, and each as often first.
      const order = i % 2 === 0 ? [0, 1] : [1, 0];
      for (const which of order) times[which]!.push(timeOf(which === 0 ? one : other));
    }
    const chance = chanceOf(times[0]!, times[1]!);
    assert.ok(chance > 0.001, `${one} and ${other} differ: ${chance}`);
  }
  await Promise.resolve();
});

attack(26, async () => {
  for (const host of ["0.0.0.0", "::", "192.168.1.5", "example.org"]) {
    const options = readOptions(["--host", host, "--port", "0"], () => undefined);
    await assert.rejects(startGateway(options, new MemoryLog()), OptionError);
  }
  await withGateway(async (fixture) => {
    // A name that was rebound to 127.0.0.1 is still not one of ours.
    for (const host of ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "[::2]", "0"]) {
      const answer = await raw(fixture, `GET /v1/models HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      assert.equal(statusIn(answer), 403, host);
    }
    for (const host of ["localhost", "127.0.0.1:9", "[::1]:80"]) {
      const answer = await raw(fixture, `GET /v1/models HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      assert.equal(statusIn(answer), 200, host);
    }
    assert.equal((await errorOf(await fetch(`${fixture.url}/nothing`), 404)).code, "unknown_url");
  });
});
