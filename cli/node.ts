/** `redraft node`: a node alone, for gateways elsewhere. @module */
import { engineLine, nodeArgs } from "./children.ts";
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
  --info             print the model, the engine and why that one, as JSON, and end
${NODE_OPTIONS_HELP}

Example:
  redraft node --port 9000 --threads 8
`,
  async run(args) {
    const { values } = parseOptions(args, {
      ...NODE_OPTIONS,
      host: { type: "string", default: "127.0.0.1" },
      port: { type: "string" },
      info: { type: "boolean" },
    });
    const port = wholeNumber(values, "port", { min: 0, max: 65535, fallback: 9000 });
    const settings = await prepareNode(values);
    if (values.info) return await printInfo(nodeArgs(settings, String(values.host), port));
    return await runService((log) =>
      new Service({
        name: "node",
        onReady: (ready) => log(engineLine(ready)),
        args: (known) => nodeArgs(settings, String(values.host), known || port),
        log,
      })
    );
  },
};

/** The node itself says it: it alone opens the engine. */
async function printInfo(args: string[]): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), { args: [...args, "--info"] }).spawn();
  return (await child.status).code;
}

if (import.meta.main) await runCommand(command, Deno.args);
