/** compose.yaml: read by compose itself, with every secret or not at all; nothing in it may write
 * where it need not, or is whatever a tag happens to name. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parse } from "yaml";
import { shownWords } from "../docs/shown.ts";
import { REDIS_PROGRAM } from "../support/redis_server.ts";
import { eventually } from "../support/served.ts";
import { ROOT } from "../support/source_files.ts";
import { must, ran } from "./scripts.ts";
import { debianTool } from "./tools.ts";

const DEPLOY = join(ROOT, "deploy");
const FILE = join(DEPLOY, "compose.yaml");
const COMPOSE = await debianTool("docker-compose");

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

interface Secrets extends AsyncDisposable {
  folder: string;
  /** As compose reads it. */
  env: Record<string, string>;
}

async function makeSecrets(): Promise<Secrets> {
  const folder = await Deno.makeTempDir();
  const env = { REDRAFT_SECRETS: join(folder, "secrets"), REDRAFT_ENV_FILE: join(folder, ".env") };
  const { program, args } = await shownWords("deploy/README.md", "deploy/secrets.sh");
  await must(program, args, env);
  const lines = (await Deno.readTextFile(env.REDRAFT_ENV_FILE)).trim().split("\n");
  return {
    folder,
    env: Object.fromEntries(lines.map((line) => line.split("=", 2) as [string, string])),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

async function modeOf(path: string): Promise<string> {
  return ((await Deno.stat(path)).mode! & 0o777).toString(8);
}

Deno.test("secrets.sh makes secrets once, for nobody else, and keys gateways take", async () => {
  await using made = await makeSecrets();
  const secrets = join(made.folder, "secrets");
  assert.equal(await modeOf(join(made.folder, ".env")), "600");
  assert.equal(await modeOf(secrets), "700");
  assert.equal(await modeOf(join(secrets, "key")), "600");
  const values = Object.values(made.env);
  assert.equal(new Set(values).size, values.length);
  assert.ok(Object.keys(made.env).includes("REDRAFT_NODE_TOKEN"));
  const config = join(secrets, "gateway", "gateway.yaml");
  const checked = ["run", "-A", join(ROOT, "mod.ts"), "config", "check", config];
  assert.match(await must(Deno.execPath(), checked), /2 keys/);
  const before = await Deno.readTextFile(join(made.folder, ".env"));
  const env = { REDRAFT_SECRETS: secrets, REDRAFT_ENV_FILE: join(made.folder, ".env") };
  await must(join(DEPLOY, "secrets.sh"), [], env);
  assert.equal(await Deno.readTextFile(join(made.folder, ".env")), before);
});

// deno-lint-ignore no-explicit-any -- as deep as it comes.
type Services = Record<string, any>;

async function readServices(file: string): Promise<Services> {
  return parse(await Deno.readTextFile(file), { merge: true }).services;
}

Deno.test("compose.yaml: services are bounded, read-only, without capabilities", async () => {
  const services = await readServices(FILE);
  const names = Object.keys(services).toSorted();
  assert.deepEqual(names, [
    "front",
    "gateway1",
    "gateway2",
    "grafana",
    "node1",
    "node2",
    "prometheus",
    "redis",
  ]);
  for (const [name, service] of Object.entries(services)) {
    assert.equal(service.read_only, true, name);
    assert.deepEqual(service.cap_drop, ["ALL"], name);
    assert.deepEqual(service.security_opt, ["no-new-privileges:true"], name);
    assert.ok(service.mem_limit, name);
    assert.ok(service.cpus, name);
    // Ours are built; others' are these bytes and no other.
    if (!service.build) assert.match(service.image, /:[^@]+@sha256:[0-9a-f]{64}$/, name);
    for (const port of service.ports ?? []) {
      assert.match(port, /^(127\.0\.0\.1|\$\{.*127\.0\.0\.1\}):/);
    }
  }
});

Deno.test("compose.yaml: a node has the image's own command, and a thread a core", async () => {
  const image = await Deno.readTextFile(join(DEPLOY, "images", "node.Containerfile"));
  const own = JSON.parse(/^CMD (\[[^\]]*\])$/m.exec(image)![1]!.replaceAll("\\\n", ""));
  const services = await readServices(FILE);
  await using made = await makeSecrets();
  const cores = navigator.hardwareConcurrency;
  const { REDRAFT_NODE_CPUS } = made.env;
  assert.equal(Number(REDRAFT_NODE_CPUS), Math.max(1, Math.floor(cores / 2)));
  for (const { command, cpus } of [services.node1, services.node2]) {
    assert.deepEqual(command, [...own, `--threads=${cpus}`]);
    assert.match(cpus, /^\$\{REDRAFT_NODE_CPUS:-1\}$/);
  }
});

Deno.test("compose.yaml: every file that it mounts or builds from is there", async () => {
  for (const [name, service] of Object.entries(await readServices(FILE))) {
    if (service.build) await Deno.stat(join(ROOT, service.build.dockerfile));
    for (const volume of service.volumes ?? []) {
      const [source] = volume.split(":");
      if (!source.startsWith("./") || source.startsWith("./secrets/")) continue;
      await Deno.stat(join(DEPLOY, source)).catch(() => assert.fail(`${name}: ${source}`));
    }
  }
  JSON.parse(await Deno.readTextFile(join(DEPLOY, "grafana", "redraft.json")));
});

Deno.test("Prometheus scrapes every gateway and node of compose.yaml", async () => {
  const config = parse(await Deno.readTextFile(join(DEPLOY, "prometheus", "prometheus.yml")));
  // deno-lint-ignore no-explicit-any
  const targets = config.scrape_configs.flatMap((job: any) => job.static_configs[0].targets);
  assert.deepEqual(targets, ["gateway1:8080", "gateway2:8080", "node1:9000", "node2:9000"]);
});

if (REDIS_PROGRAM) {
  Deno.test("compose.yaml: its Redis starts as it is told, and asks for the password", async () => {
    const { redis } = await readServices(FILE);
    const folder = await Deno.makeTempDir();
    const port = String(freePort());
    const [shell, flag, line] = redis.command as [string, string, string];
    const here = line.replaceAll("$$", "$").replaceAll("/tmp/redis.conf", join(folder, "conf"))
      .replace("dir /data", `dir ${folder}`) + ` --port ${port} --bind 127.0.0.1`;
    const env = { REDISCLI_AUTH: "a-password" };
    const server = new Deno.Command(shell, { args: [flag, here], env, stdout: "null" }).spawn();
    try {
      const ping = (env: Record<string, string>) => ran("redis-cli", ["-p", port, "ping"], env);
      await eventually(
        async () => (await ping(env)).text.trim() === "PONG",
        5_000,
        () => "no PONG",
      );
      assert.match((await ping({ REDISCLI_AUTH: "" })).text, /NOAUTH/);
    } finally {
      server.kill("SIGTERM");
      assert.equal((await server.status).code, 0);
      await Deno.remove(folder, { recursive: true });
    }
  });
}

if (COMPOSE) {
  const config = (env: Record<string, string>, ...files: string[]) =>
    ran(COMPOSE, [...files.flatMap((file) => ["-f", join(DEPLOY, file)]), "config", "-q"], env);

  Deno.test("compose takes the files, with the CPU and with CUDA", async () => {
    await using made = await makeSecrets();
    for (const files of [["compose.yaml"], ["compose.yaml", "compose.cuda.yaml"]]) {
      const { code, text } = await config(made.env, ...files);
      assert.equal(code, 0, text);
    }
  });

  Deno.test("compose refuses to start without a secret, and names it", async () => {
    await using made = await makeSecrets();
    for (const name of ["REDRAFT_NODE_TOKEN", "REDIS_PASSWORD", "GRAFANA_PASSWORD"]) {
      const { code, text } = await config({ ...made.env, [name]: "" }, "compose.yaml");
      assert.notEqual(code, 0);
      assert.match(text, new RegExp(`${name} is missing, run deploy/secrets.sh`));
    }
  });
}
