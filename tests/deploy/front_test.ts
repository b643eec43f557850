/** The front: nginx with deploy/front/nginx.conf before a gateway. Slow clients are cut while
 * others are served; what is too large or nobody's business does not reach the gateway. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../support/source_files.ts";
import { chatBody, readEvents, statusOf, withGateway } from "../support/scripted_gateway.ts";
import { eventually } from "../support/served.ts";
import { must, ran } from "./scripts.ts";
import { bodyStatus, dripMs, NO_BODY, SLOW_HEADERS } from "./slow_clients.ts";
import { debianTool } from "./tools.ts";

const FRONT = join(ROOT, "deploy", "front");
const NGINX = await debianTool("nginx", "nginx-light");
const SLOW_CLIENTS = 20;
/** nginx's five and ten seconds, and what a busy machine adds. */
const HEADER_MS_MAX = 8_000;
const BODY_MS_MAX = 14_000;
const READY_MS_MAX = 5_000;

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** nginx's prefix, with the files that the configuration includes. */
async function makePrefix(listen: string, upstream: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  await Deno.chmod(folder, 0o755); // Its workers are nobody.
  await Deno.copyFile(join(FRONT, "nginx.conf"), join(folder, "nginx.conf"));
  await Deno.writeTextFile(join(folder, "listen.conf"), listen);
  await Deno.writeTextFile(join(folder, "upstream.conf"), upstream);
  return folder;
}

const argsOf = (folder: string) => ["-p", `${folder}/`, "-c", join(folder, "nginx.conf")];

async function withFront(
  gatewayUrl: string,
  act: (address: { hostname: string; port: number }, url: string) => Promise<void>,
): Promise<void> {
  const address = { hostname: "127.0.0.1", port: freePort() };
  const upstream = `upstream gateways { server ${new URL(gatewayUrl).host}; keepalive 8; }`;
  const folder = await makePrefix(`listen 127.0.0.1:${address.port};`, upstream);
  const front = new Deno.Command(NGINX!, {
    args: [...argsOf(folder), "-g", "daemon off;"],
    stderr: "null",
  }).spawn();
  try {
    const url = `http://127.0.0.1:${address.port}`;
    const isOpen = () => Deno.connect(address).then((it) => (it.close(), true), () => false);
    await eventually(isOpen, READY_MS_MAX, () => "nginx does not listen");
    await act(address, url);
  } finally {
    front.kill("SIGTERM");
    await front.status;
    await Deno.remove(folder, { recursive: true });
  }
}

/** As a gateway does: what nginx itself refuses too. */
async function refusesInOurShape(url: string): Promise<void> {
  const long = { headers: { "x-long": "x".repeat(20_000) } };
  const cases: Array<[RequestInit, string, number, string]> = [
    [long, "/v1/models", 400, "bad_request"],
    [
      { method: "POST", body: new Uint8Array((8 << 20) + 1) },
      "/tokenize",
      413,
      "request_too_large",
    ],
    [{}, "/metrics", 404, "unknown_url"],
  ];
  for (const [init, path, status, code] of cases) {
    const response = await fetch(url + path, init);
    assert.equal(response.status, status);
    assert.equal(response.headers.get("content-type"), "application/json");
    assert.equal((await response.json()).error.code, code);
  }
}

if (NGINX) {
  Deno.test("front: nginx takes the configuration, that of compose too", async () => {
    for (const part of [".", "compose"]) {
      const name = join(FRONT, part, "upstream.conf");
      const upstream = part === "."
        ? "upstream gateways { server 127.0.0.1:1; }"
        // Names that a container engine resolves: Debian's nginx knows no "resolve".
        : (await Deno.readTextFile(name)).replaceAll(" resolve ", " ")
          .replaceAll(/gateway\d:/g, "127.0.0.1:");
      const folder = await makePrefix("listen 127.0.0.1:8000;", upstream);
      await must(NGINX, ["-t", "-q", ...argsOf(folder)]);
      await Deno.writeTextFile(join(folder, "listen.conf"), "listn 1;");
      assert.match((await ran(NGINX, ["-t", ...argsOf(folder)])).text, /unknown directive "listn"/);
      await Deno.remove(folder, { recursive: true });
    }
  });

  Deno.test("front: slow clients are cut while others are served", async () => {
    await withGateway(async ({ url: gatewayUrl }) => {
      await withFront(gatewayUrl, async (address, url) => {
        let slow = true;
        let served = 0;
        const serve = async () => {
          while (slow) {
            assert.equal(await statusOf(await fetch(`${url}/v1/models`)), 200);
            ++served;
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
        };
        const serving = serve();
        const [headers, body] = await Promise.all([
          Promise.all(
            Array.from({ length: SLOW_CLIENTS }, () => dripMs(address, SLOW_HEADERS, "a", 20_000)),
          ),
          dripMs(address, NO_BODY, "", 20_000),
        ]);
        slow = false;
        await serving;
        assert.ok(Math.max(...headers) <= HEADER_MS_MAX, `slow headers: ${headers}`);
        assert.ok(body <= BODY_MS_MAX, `no body: ${body} ms`);
        assert.ok(served >= 50, `${served} others were served`);
      });
    });
  });

  Deno.test("front: streams as it comes, refuses large bodies, keeps metrics in", async () => {
    await withGateway(async ({ url: gatewayUrl }) => {
      await withFront(gatewayUrl, async (_, url) => {
        const response = await fetch(`${url}/v1/chat/completions`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(chatBody({ stream: true })),
        });
        assert.equal((await readEvents(response)).at(-1), "[DONE]");
        assert.equal(await bodyStatus(url, (8 << 20) + 1), 413);
        await refusesInOurShape(url);
        assert.equal(await statusOf(await fetch(`${url}/metrics`)), 404);
      });
    });
  });
}
