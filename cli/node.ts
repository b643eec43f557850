/** `redraft node`: a node alone, for gateways elsewhere. @module */
import { nodeArgs } from "./children.ts";
import { NODE_OPTIONS, NODE_OPTIONS_HELP, prepareNode } from "./node_options.ts";
import { type Command, parseOptions, runCommand, wholeNumber } from "./options.ts";
import { runService } from "./run_service.ts";
import { Service } from "./supervisor.ts";

export const command: Command = {
  summary: "start a node alone",
  help: `Starts a node that gateways may dial, with its model fetched and its engine built.

  redraft node [OPTIONS]

  --port N           where gateways dial (default 9000; 0: any free one)
  --host HOST        address to listen on (default 127.0.0.1)
${NODE_OPTIONS_HELP}

Example:
  redraft node --port 9000 --threads 8
`,
  async run(args) {
    const { values } = parseOptions(args, {
      ...NODE_OPTIONS,
      host: { type: "string", default: "127.0.0.1" },
      port: { type: "string" },
    });
    const port = wholeNumber(values, "port", { min: 0, max: 65535, fallback: 9000 });
    const settings = await prepareNode(values);
    return await runService((log) =>
      new Service({
        name: "node",
        args: (known) => nodeArgs(settings, String(values.host), known || port),
        log,
      })
    );
  },
};

if (import.meta.main) await runCommand(command, Deno.args);
