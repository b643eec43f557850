/** `redraft gateway`: a gateway alone, for nodes elsewhere. @module */
import { gatewayArgs } from "./children.ts";
import { type Command, parseOptions, runCommand, UsageError, wholeNumber } from "./options.ts";
import { runService } from "./run_service.ts";
import { Service } from "./supervisor.ts";

export const command: Command = {
  summary: "start a gateway alone",
  help: `Starts a gateway before nodes that run already.

  redraft gateway --node URL[,URL..] [OPTIONS]

  --node URLS   WebSocket addresses of the nodes, separated by commas
  --port N      where clients come (default 8000; 0: any free one)
  --host HOST   address to listen on (default 127.0.0.1)

Example:
  redraft gateway --node ws://10.0.0.5:9000,ws://10.0.0.6:9000 --host 0.0.0.0
`,
  async run(args) {
    const { values } = parseOptions(args, {
      node: { type: "string" },
      host: { type: "string", default: "127.0.0.1" },
      port: { type: "string" },
    });
    const urls = String(values.node ?? "").split(",").map((url) => url.trim()).filter(Boolean);
    const wrong = urls.find((url) => !/^wss?:\/\/./.test(url));
    if (urls.length === 0) throw new UsageError("Option '--node' is missing: ws://HOST:PORT");
    if (wrong) throw new UsageError(`Option '--node' must hold ws:// addresses, not ${wrong}`);
    const port = wholeNumber(values, "port", { min: 0, max: 65535, fallback: 8000 });
    return await runService((log) =>
      new Service({
        name: "gateway",
        args: (known) => gatewayArgs(urls, String(values.host), known || port),
        log,
      })
    );
  },
};

if (import.meta.main) await runCommand(command, Deno.args);
