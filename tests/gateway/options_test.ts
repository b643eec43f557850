import assert from "node:assert/strict";
import { KeyRing } from "../../gateway/auth.ts";
import { readConfig } from "../../gateway/config.ts";
import { ApiError } from "../../gateway/errors.ts";
import { SETTING_KINDS } from "../../gateway/option_table.ts";
import {
  checkExposure,
  isLoopback,
  loadOptions,
  OptionError,
  readOptions,
} from "../../gateway/options.ts";

const ringOf = (list: string) => new KeyRing(KeyRing.parse(list));

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
    [["--cors-origin", "*"], {}, /--cors-origin/],
    [["--log-level", "loud"], {}, /--log-level/],
    [["--store", "http://h"], {}, /--store must be memory, or/],
    [["--store", "redis:///1"], {}, /--store must be memory, or/],
    [["--store", "redis://:secret@h:6379/x"], {}, /--store must end in its port or in \/N/],
    [["--store", "redis://h:6379/1/2"], {}, /--store must end in/],
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

Deno.test("options: all that is wrong is said at once", () => {
  const wrong = ["--port", "x", "--cache-mib", "y", "--node", "http://a", "--node", "http://b"];
  assert.throws(() => read(wrong, { REDRAFT_LOG_LEVEL: "loud" }), (error: unknown) => {
    assert.equal((error as Error).message.split("\n").length, 5);
    return true;
  });
});

Deno.test("options: what is wrong is named as it stands where it was given", () => {
  const text = `
node: ["http://a", "ws://b", "ws://b/"]
allow_origin: [example.org]
cors_origin: ["*"]
log_level: loud
store: x
`;
  const file = readConfig(text, SETTING_KINDS);
  assert.throws(() => readOptions([], () => undefined, file), (error: unknown) => {
    const lines = (error as Error).message.split("\n");
    const names = ["node", "allow_origin", "cors_origin", "log_level", "store", "node"];
    assert.deepEqual(lines.map((line) => line.split(" ")[0]), names);
    return true;
  });
  const env = (name: string) => name === "REDRAFT_NODES" ? "http://a" : undefined;
  assert.throws(() => readOptions([], env, file), /REDRAFT_NODES must be/);
  assert.throws(() => readOptions(["--node", "http://a"], env, file), /--node must be/);
});

Deno.test("options: all that is wrong with a file is said at once, whatever kind it is", () => {
  const text = `
host: 0.0.0.0
port: 70000
store: redis://h:6379/x
colour: red
cache_mib: many
keys: [{ tenant: a }]
`;
  const load = (file: string) => loadOptions(["--config", "c.yaml"], () => undefined, () => file);
  const linesOf = (file: string) => {
    try {
      load(file);
    } catch (error) {
      assert.ok(error instanceof OptionError, String(error));
      return error.message.split("\n");
    }
    assert.fail("it was taken");
  };
  const lines = linesOf(text);
  const expected = [/c\.yaml/, /'colour'/, /'cache_mib'/, /'keys\[0\]\.sha256'/, /^port/, /^store/];
  // There is a key, if a wrong one: that there are none is not said.
  assert.equal(lines.length, expected.length, lines.join("\n"));
  for (const words of expected) assert.ok(lines.some((line) => words.test(line)), String(words));
  const bare = linesOf(text.replace(/keys.*/, "")).join("\n");
  assert.match(bare, /'colour'[^]*\nstore[^]*\nhost 0\.0\.0\.0[^]*no API keys/);
  assert.equal(load("store: redis://h:6379/3").store, "redis://h:6379/3");
  assert.equal(load("store: rediss://h").store, "rediss://h");
});

Deno.test("options: flags over environment over file", () => {
  const text = "port: 83\nhost: '::1'\nnode: [ws://c:1]\ninsecure: true\ncache_mib: null\n";
  const load = (args: string[], env: Record<string, string> = {}) =>
    loadOptions(["--config", "c.yaml", ...args], (name) => env[name], (path) => {
      assert.equal(path, "c.yaml");
      return text;
    });
  const options = load([]);
  assert.equal(options.port, 83);
  assert.equal(options.host, "::1");
  assert.deepEqual(options.nodes, ["ws://c:1/"]);
  assert.ok(options.insecure);
  assert.equal(options.cacheBytesMax, 64 << 20);
  assert.equal(load([], { REDRAFT_PORT: "84" }).port, 84);
  assert.equal(load(["--port", "85"], { REDRAFT_PORT: "84" }).port, 85);
  const missing = () => loadOptions([], () => "gone.json", Deno.readTextFileSync);
  assert.throws(missing, /gone\.json/);
});

Deno.test("another address than loopback needs keys, or --insecure", () => {
  for (const host of ["0.0.0.0", "::", "192.168.1.2", "example.org"]) {
    assert.throws(() => checkExposure(read(["--host", host]), false), /no API keys/);
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
  const ring = ringOf(
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
  assert.ok(ringOf("").isEmpty);
  assert.equal(ringOf(" , ").authenticate(null).tenant, "local");
  assert.throws(() => KeyRing.parse("fine-key-1,short"), /key 2/);
  assert.throws(() => KeyRing.parse("sha256:abc"), /key 1/);
  assert.throws(() => ringOf("a=same-key-1,b=same-key-1"), /there twice/);
});
