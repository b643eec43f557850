/** The shipped topology: nginx with deploy/front/nginx.conf before a gateway. @module */
import { join } from "node:path";
import { debianTool } from "../deploy/tools.ts";
import { waitUntil } from "../support/scripted_gateway.ts";

const FRONT = new URL("../../deploy/front/nginx.conf", import.meta.url);

/** `null`: there is none here, which is said. */
export const NGINX = await debianTool("nginx", "nginx-light");
/** Slow HTTP as attackers have it: <https://github.com/shekyan/slowhttptest>. */
export const SLOWHTTPTEST = await debianTool("slowhttptest");

export interface Front {
  hostname: string;
  port: number;
  url: string;
}

/** @param sendTimeout Instead of the shipped minute, which no test can wait for. */
export async function withShippedFront(
  gatewayUrl: string,
  sendTimeout: string,
  act: (front: Front) => Promise<void>,
): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr as Deno.NetAddr;
  listener.close();
  const folder = await Deno.makeTempDir();
  await Deno.chmod(folder, 0o755); // Its workers are nobody.
  const shipped = await Deno.readTextFile(FRONT);
  const text = shipped.replace(/send_timeout 60s;/, `send_timeout ${sendTimeout};`);
  if (text === shipped) throw new Error("Cannot find send_timeout in the front's configuration");
  const upstream = `upstream gateways { server ${new URL(gatewayUrl).host}; keepalive 8; }`;
  await Deno.writeTextFile(join(folder, "nginx.conf"), text);
  await Deno.writeTextFile(join(folder, "listen.conf"), `listen ${hostname}:${port};`);
  await Deno.writeTextFile(join(folder, "upstream.conf"), upstream);
  const front = new Deno.Command(NGINX!, {
    args: ["-p", `${folder}/`, "-c", join(folder, "nginx.conf"), "-g", "daemon off;"],
    stderr: "null",
  }).spawn();
  try {
    let isOpen = false;
    const poll = setInterval(async () => {
      isOpen ||= await Deno.connect({ hostname, port }).then(
        (it) => (it.close(), true),
        () => false,
      );
    }, 20);
    await waitUntil(() => isOpen, "nginx listens").finally(() => clearInterval(poll));
    await act({ hostname, port, url: `http://${hostname}:${port}` });
  } finally {
    front.kill("SIGTERM");
    await front.status;
    await Deno.remove(folder, { recursive: true });
  }
}

export interface SlowOutcome {
  /** Seconds, of those measured, in which its probe was not answered. */
  secondsAway: number;
  /** Connections that it still held at its end, and the most that it held at once. */
  heldAtEnd: number;
  heldMost: number;
}

/** @param mode Its flags, such as `["-H"]`. */
export async function slowHttp(
  mode: readonly string[],
  url: string,
  connections: number,
  seconds: number,
): Promise<SlowOutcome> {
  const folder = await Deno.makeTempDir();
  const bounds = ["-c", `${connections}`, "-r", `${connections}`, "-l", `${seconds}`, "-p", "3"];
  const args = [...mode, ...bounds, "-v", "0", "-g", "-o", join(folder, "out"), "-u", url];
  await new Deno.Command(SLOWHTTPTEST!, { args, stdout: "null", stderr: "null" }).output();
  const [header, ...rows] = (await Deno.readTextFile(join(folder, "out.csv"))).trim().split("\n");
  await Deno.remove(folder, { recursive: true });
  const column = (name: string) => {
    const at = header!.split(",").indexOf(name);
    if (at < 0) throw new Error(`Cannot find ${name} in ${header}`);
    return rows.map((row) => Number(row.split(",")[at]));
  };
  const held = column("Connected");
  return {
    secondsAway: column("Service Available").filter((available) => available === 0).length,
    heldAtEnd: held.at(-1)!,
    heldMost: Math.max(...held),
  };
}
