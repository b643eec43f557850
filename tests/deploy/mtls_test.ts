/** deploy/mtls: a gateway reaches a node by mutual TLS through two nginx, and nobody else does. The
 * certificates are made here; everything else is what is shipped. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../support/source_files.ts";
import { eventually, Served } from "../support/served.ts";
import { must, ran } from "./scripts.ts";
import { debianTool } from "./tools.ts";

const MTLS = join(ROOT, "deploy", "mtls");
const TOOLS = [
  await debianTool("nginx", "nginx-light"),
  await debianTool("openssl"),
  await debianTool("curl"),
];
const TOKEN = "a-token-between-gateway-and-node";
const READY_MS_MAX = 30_000;

function freePort(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return String(listener.addr.port);
}

/** An authority, a node's and a gateway's certificate of it, and a gateway's of another one. */
async function makeCertificates(folder: string): Promise<void> {
  const at = (name: string) => join(folder, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const make = (args: string[]) => must("openssl", ["req", "-x509", ...key, "-days", "2", ...args]);
  const issue = async (name: string, authority: string) => {
    const host = `${name}.redraft.internal`;
    const of = ["-CA", at(`${authority}.pem`), "-CAkey", at(`${authority}.key`)];
    const out = ["-keyout", at(`${name}.key`), "-out", at(`${name}.pem`)];
    await make(["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`, ...of, ...out]);
  };
  for (const name of ["authority", "stranger"]) {
    const out = ["-keyout", at(`${name}.key`), "-out", at(`${name}.pem`)];
    await make(["-subj", `/CN=${name}`, ...out]);
  }
  await issue("node", "authority");
  await issue("gateway", "authority");
  await issue("other", "stranger");
}

/** One nginx with a file of deploy/mtls, in which addresses and the folder of keys are replaced. */
async function proxy(folder: string, name: string, given: Record<string, string>) {
  let text = await Deno.readTextFile(join(MTLS, `${name}.conf`));
  for (const [from, to] of Object.entries({ "/etc/redraft/tls": folder, ...given })) {
    assert.ok(text.includes(from), `${name}.conf: no ${from}`);
    text = text.replaceAll(from, to);
  }
  const file = join(folder, `${name}.nginx`);
  const head = `pid ${file}.pid; error_log ${file}.log; events {}\n`;
  await Deno.writeTextFile(file, `${head}http { access_log off;\n${text}}\n`);
  await must("nginx", ["-t", "-q", "-p", folder, "-c", file]);
  const args = ["-p", folder, "-c", file, "-g", "daemon off;"];
  return new Deno.Command("nginx", { args, stderr: "null" }).spawn();
}

if (TOOLS.every(Boolean)) {
  Deno.test("mtls: the gateway reaches its node, who has no certificate does not", async () => {
    const folder = await Deno.makeTempDir();
    const [secure, beside] = [freePort(), freePort()];
    await makeCertificates(folder);
    await using served = await Served.startIn({ REDRAFT_NODE_TOKEN: TOKEN }, "--threads=1");
    const node = { "9443": secure, "127.0.0.1:9000": `127.0.0.1:${served.ready.node_port}` };
    const nodeProxy = await proxy(folder, "node", node);
    const gateway = {
      "127.0.0.1:9101": `127.0.0.1:${beside}`,
      "10.0.0.5:9443": `127.0.0.1:${secure}`,
    };
    const gatewayProxy = await proxy(folder, "gateway", gateway);
    const caller = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", "--allow-net", "--allow-env", join(ROOT, "gateway", "main.ts")],
        ...["--port=0", `--node=ws://127.0.0.1:${beside}`],
      ],
      env: { REDRAFT_NODE_TOKEN: TOKEN },
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = caller.stdout.getReader();
    try {
      const { port } = JSON.parse(new TextDecoder().decode((await reader.read()).value));
      const url = `http://127.0.0.1:${port}`;
      const isReady = async () => {
        const response = await fetch(`${url}/readyz`);
        await response.body?.cancel();
        return response.ok;
      };
      await eventually(isReady, READY_MS_MAX, () => "no node through the proxies");
      const body = { model: served.model, prompt: "1, 2, 3,", max_tokens: 8, temperature: 0 };
      const response = await fetch(`${url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      assert.match((await response.json()).choices[0].text, /4/);
      await expectStrangersRefused(folder, secure);
    } finally {
      for (const child of [caller, gatewayProxy, nodeProxy]) child.kill("SIGTERM");
      await Promise.all([caller.status, gatewayProxy.status, nodeProxy.status]);
      await reader.cancel();
      await Deno.remove(folder, { recursive: true });
    }
  });
}

async function expectStrangersRefused(folder: string, port: string): Promise<void> {
  const ask = async (...own: string[]) => {
    const to = ["--resolve", `node.redraft.internal:${port}:127.0.0.1`];
    const trust = ["--cacert", join(folder, "authority.pem")];
    const url = `https://node.redraft.internal:${port}/readyz`;
    return (await ran("curl", ["-s", ...to, ...trust, ...own, "-w", "\n%{http_code}", url])).text;
  };
  const as = (name: string) => [
    ...["--cert", join(folder, `${name}.pem`), "--key", join(folder, `${name}.key`)],
  ];
  assert.match(await ask(...as("gateway")), /\n200$/);
  assert.match(await ask(), /No required SSL certificate was sent[^]*\n400$/);
  assert.match(await ask(...as("other")), /The SSL certificate error[^]*\n400$/);
}
