/** `redraft gateway`: a gateway alone, for nodes elsewhere. @module */
import { HELP, loadOptions, OptionError } from "../gateway/options.ts";
import { FLAGS } from "../gateway/option_table.ts";
import { gatewayArgs } from "./children.ts";
import { type Command, runCommand, UsageError } from "./options.ts";
import { runService } from "./run_service.ts";
import { Service } from "./supervisor.ts";

export const command: Command = {
  options: FLAGS,
  summary: "start a gateway alone",
  help: `Starts a gateway before nodes that run already, and keeps it running.

  redraft gateway --node URL [--node URL ..] [OPTIONS]

${HELP.slice(HELP.indexOf("  --port"))}
Example:
  redraft gateway --node ws://10.0.0.5:9000 --node ws://10.0.0.6:9000 --config gateway.yaml
`,
  async run(args) {
    try {
      loadOptions(args, (name) => Deno.env.get(name), Deno.readTextFileSync);
    } catch (error) {
      throw error instanceof OptionError ? new UsageError(error.message) : error;
    }
    return await runService((log) =>
      new Service({ name: "gateway", args: (known) => gatewayArgs(args, known || undefined), log })
    );
  },
};

if (import.meta.main) await runCommand(command, Deno.args);
