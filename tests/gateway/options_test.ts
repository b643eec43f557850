import assert from "node:assert/strict";
import { KeyRing } from "../../gateway/auth.ts";
import { ApiError } from "../../gateway/errors.ts";
import { checkExposure, isLoopback, OptionError, readOptions } from "../../gateway/options.ts";

const read = (args: string[], env: Record<string, string> = {}) =>
  readOptions(args, (name) => env[name]);

Deno.test("options: defaults, flags over environment", () => {
  const options = read([]);
  assert.equal(options.port, 8080);
  assert.equal(options.host, "127.0.0.1");
  assert.equal(options.nodes.length, 1);
  assert.equal(read([], { REDRAFT_PORT: "81" }).port, 81);
  assert.equal(read(["--port", "82"], { REDRAFT_PORT: "81" }).port, 82);
  assert.deepEqual(read(["--node", "ws://a:1", "--node", "wss://b/x"]).nodes, [
    "ws://a:1/",
    "wss://b/x",
  ]);
  assert.equal(read([], { REDRAFT_NODES: "ws://a:1, ws://b:2" }).nodes.length, 2);
});

Deno.test("options: what is wrong is named", () => {
  const cases: Array<[string[], Record<string, string>, RegExp]> = [
    [["--port", "x"], {}, /--port/],
    [["--port", "70000"], {}, /--port/],
    [["--port", "-1"], {}, /--port/],
    [[], { REDRAFT_PORT: "no" }, /REDRAFT_PORT/],
    [["--node", "http://a"], {}, /--node/],
    [["--node", "ws://user:secret@a"], {}, /--node/],
    [["--node", "ws://a", "--node", "ws://a/"], {}, /--node/],
    [["--allow-origin", "example.org"], {}, /--allow-origin/],
    [["--log-level", "loud"], {}, /--log-level/],
    [["--body-max-mib", "0"], {}, /--body-max-mib/],
    [["--cache-mib", "many"], {}, /--cache-mib/],
    [["--fly"], {}, /--fly/],
    [["stray"], {}, /stray/],
  ];
  for (const [args, env, words] of cases) {
    assert.throws(() => read(args, env), (error: unknown) => {
      assert.ok(error instanceof OptionError);
      assert.match(error.message, words);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
});

Deno.test("another address than loopback needs keys, or --insecure", () => {
  for (const host of ["0.0.0.0", "::", "192.168.1.2", "example.org"]) {
    assert.throws(() => checkExposure(read(["--host", host]), false), /REDRAFT_API_KEYS/);
    checkExposure(read(["--host", host]), true);
    checkExposure(read(["--host", host, "--insecure"]), false);
  }
  for (const host of ["127.0.0.1", "127.9.9.9", "localhost", "::1", "[::1]"]) {
    assert.ok(isLoopback(host));
    checkExposure(read(["--host", host]), false);
  }
  assert.ok(!isLoopback("127.0.0.1.evil.example"));
});

Deno.test("keys: plain or digests, named or not", () => {
  const digest = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"; // "password"
  const ring = KeyRing.parse(
    `alice=sk-alice-1234, sha256:${digest},bob=sha256:${digest.replace("5", "6")}`,
  );
  assert.equal(ring.authenticate("Bearer sk-alice-1234").tenant, "alice");
  assert.equal(ring.authenticate("bearer  password").tenant, `key-${digest.slice(0, 16)}`);
  for (
    const wrong of [
      null,
      "",
      "Bearer",
      "Bearer ",
      "sk-alice-1234",
      "Basic sk-alice-1234",
      "Bearer sk-alice-1234 x",
      `Bearer sha256:${digest}`,
      `Bearer ${"x".repeat(10_000)}`,
    ]
  ) {
    assert.throws(() => ring.authenticate(wrong), (e: unknown) => {
      assert.ok(e instanceof ApiError);
      assert.equal(e.status, 401);
      return true;
    });
  }
  assert.ok(KeyRing.parse("").isEmpty);
  assert.equal(KeyRing.parse(" , ").authenticate(null).tenant, "local");
  assert.throws(() => KeyRing.parse("fine-key-1,short"), /key 2/);
  assert.throws(() => KeyRing.parse("sha256:abc"), /key 1/);
});
