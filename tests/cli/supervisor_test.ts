import assert from "node:assert/strict";
import { join } from "node:path";
import { Service, ServiceError } from "../../cli/supervisor.ts";

/** A child that says it is ready on the port it was given, or on 4000, then does `rest`. */
async function withService(
  rest: string,
  test: (service: Service, log: string[]) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const script = join(folder, "child.ts");
  const ready = `console.log(JSON.stringify({ event: "ready", port: +Deno.args[0] || 4000 }));`;
  await Deno.writeTextFile(script, rest.replace("READY", ready));
  const log: string[] = [];
  const args = (port: number) => ["run", "-A", "--no-config", script, String(port)];
  const service = new Service({ name: "child", args, log: (line) => log.push(line) });
  try {
    await test(service, log);
  } finally {
    service.kill();
    await service.gone.catch(() => {});
    await Deno.remove(folder, { recursive: true });
  }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("waited too long");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

Deno.test("Service starts a child that died again, on the same port", async () => {
  await withService("READY setInterval(() => {}, 1000);", async (service, log) => {
    await service.start();
    assert.equal(service.port, 4000);
    const before = service.pid;
    Deno.kill(before, "SIGKILL");
    await until(() => service.pid !== 0 && service.pid !== before);
    assert.equal(service.port, 4000);
    assert.match(log.join("\n"), /The child ended \(killed by SIGKILL\); starting it again/);
  });
});

Deno.test("Service gives up a child that never got ready, with its last words", async () => {
  const words = `console.error(JSON.stringify({ level: "error", error: "no such model" }));`;
  await withService(`${words} Deno.exit(1);`, async (service) => {
    await assert.rejects(
      service.start(),
      (error) =>
        error instanceof ServiceError && /Cannot start the child: no such model/
          .test(error.message),
    );
  });
});

Deno.test("Service.stop() lets the child end by itself, and kills it after a while", async () => {
  const polite = `Deno.addSignalListener("SIGTERM", () => Deno.exit(0));`;
  await withService(`${polite} READY setInterval(() => {}, 1000);`, async (service) => {
    await service.start();
    await service.stop(10_000);
    assert.equal(service.pid, 0);
  });
  const deaf = `Deno.addSignalListener("SIGTERM", () => {});`;
  await withService(`${deaf} READY setInterval(() => {}, 1000);`, async (service) => {
    await service.start();
    await service.stop(200);
    assert.equal(service.pid, 0);
  });
});
