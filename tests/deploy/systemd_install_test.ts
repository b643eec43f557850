/** deploy/README.md, "systemd": its commands, with another root in the place of the machine's. No
 * systemd runs there, so units are enabled and not started; what they would read is read. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { shownScript } from "../docs/shown.ts";
import { ROOT } from "../support/source_files.ts";
import { must } from "./scripts.ts";
import { debianTool } from "./tools.ts";

const TOOLS = [
  await debianTool("systemctl", "systemd"),
  await debianTool("systemd-sysusers", "systemd"),
  await debianTool("openssl"),
];
const DENO = `"${Deno.execPath()}"`;

class Machine implements AsyncDisposable {
  private constructor(readonly root: string) {}

  static async make(): Promise<Machine> {
    const root = await Deno.makeTempDir();
    await Deno.mkdir(join(root, "etc/systemd/system"), { recursive: true });
    return new Machine(root);
  }

  /** @param given Replaced in it, besides the folders at the root. */
  async run(line: string, given: Record<string, string> = {}): Promise<string> {
    const folders = ["/etc/", "/srv/", "/opt/"].filter((name) => line.includes(name));
    const under = Object.fromEntries(folders.map((name) => [name, this.root + name]));
    const script = await shownScript("deploy/README.md", line, { ...under, ...given });
    return await must("bash", ["-c", script]);
  }

  read(path: string): Promise<string> {
    return Deno.readTextFile(join(this.root, path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

async function installUnits(machine: Machine): Promise<void> {
  await machine.run(
    "deno task build && DENO_DIR=/opt/redraft/packages " +
      "deno cache gateway/main.ts gpu-node/main.ts",
    { "deno task": `${DENO} task`, "deno cache": `${DENO} cache` },
  );
  assert.ok((await Deno.stat(join(machine.root, "opt/redraft/packages/npm"))).isDirectory);
  await machine.run(
    "install -D -m 644 deploy/systemd/redraft.sysusers /etc/sysusers.d/redraft.conf " +
      "&& systemd-sysusers",
    { "&& systemd-sysusers": `&& systemd-sysusers --root=${machine.root}` },
  );
  assert.match(await machine.read("etc/passwd"), /^redraft:/m);
  await machine.run(
    "cp deploy/systemd/*.service /etc/systemd/system/ && systemctl daemon-reload",
    { "systemctl daemon-reload": "true" },
  );
}

async function writeSettings(machine: Machine): Promise<void> {
  await machine.run('install -D -m 644 "$(deno task -q pull)" /srv/redraft/model.gguf', {
    "deno task": `${DENO} task`,
  });
  await machine.run("install -d /etc/redraft");
  await machine.run(
    'echo "NODE_FLAGS=--port=9000 --model=/srv/redraft/model.gguf ' +
      '--head=drafter/weights/smollm2-135m-instruct" >/etc/redraft/node-1.conf',
  );
  await machine.run(
    'echo "REDRAFT_NODE_TOKEN=$(openssl rand -hex 32)" ' +
      "| install -m 600 /dev/stdin /etc/redraft/node.env",
  );
  await machine.run("install -m 600 /etc/redraft/node.env /etc/redraft/gateway.env");
  const said = await machine.run(
    'echo "{node: [ws://127.0.0.1:9000], keys: [$(deno task -q config key me)]}" ' +
      "| install -m 640 -g redraft /dev/stdin /etc/redraft/gateway.yaml",
    { "deno task": `${DENO} task`, "-g redraft ": "" }, // This machine has no such group.
  );
  assert.match(said, /sk-redraft-/);
}

if (TOOLS.every(Boolean)) {
  Deno.test("systemd: the README's commands install all that the units read", async () => {
    await using machine = await Machine.make();
    await installUnits(machine);
    await writeSettings(machine);
    await machine.run("systemctl enable --now redraft-node@1 redraft-gateway", {
      "systemctl enable --now": `systemctl --root=${machine.root} enable`,
    });
    const wanted = "etc/systemd/system/multi-user.target.wants";
    for (const unit of ["redraft-node@1.service", "redraft-gateway.service"]) {
      await Deno.lstat(join(machine.root, wanted, unit));
    }
    const config = join(machine.root, "etc/redraft/gateway.yaml");
    const checked = ["run", "-A", join(ROOT, "mod.ts"), "config", "check", config];
    assert.match(await must(Deno.execPath(), checked), /1 keys, listens on 127\.0\.0\.1/);
    assert.match(
      await machine.read("etc/redraft/gateway.env"),
      /^REDRAFT_NODE_TOKEN=[0-9a-f]{64}$/m,
    );
    const flags = /^NODE_FLAGS=(.*)$/m.exec(await machine.read("etc/redraft/node-1.conf"))![1]!;
    const info = ["run", "-A", "gpu-node/main.ts", ...flags.split(" "), "--info"];
    assert.match(await must(Deno.execPath(), info), /"architecture":"llama"/);
  });
}
