/** Runs every client against a gateway and prints a table: `deno task clients`, with `--url` and
 * `--model` against one that runs, else against one of its own. `--only NAME` picks some, `--small`
 * leaves out those whose packages are large. @module */
import { parseArgs } from "node:util";
import { Served } from "../support/served.ts";
import { type Client, CLIENTS, LARGE_CLIENTS, type Target } from "./registry.ts";

const ANSWER_CHARS_MAX = 60;

async function line(client: Client, target: Target): Promise<{ text: string; isOk: boolean }> {
  const startedAt = performance.now();
  let isOk = true;
  let answer: string;
  try {
    answer = (await client.run(target)).replaceAll(/\s+/g, " ");
  } catch (error) {
    isOk = false;
    answer = String(error).trim().split("\n").at(-1)!;
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  const cells = [client.name, client.language, client.does, isOk ? "yes" : "NO", `${seconds} s`];
  const shown = answer.replaceAll("|", "\\|").slice(0, ANSWER_CHARS_MAX);
  return { text: `| ${[...cells, shown].join(" | ")} |`, isOk };
}

const HELP = `Runs the official clients, unmodified, against a gateway and prints a table.

  deno task clients [--url URL --model NAME] [--only NAME] [--small]

  --url URL, --model NAME  a gateway that runs already, /v1 included; without, one is started
  --only NAME              clients whose name contains this
  --small                  without those whose packages are large
`;

const { values } = parseArgs({
  options: {
    help: { type: "boolean" },
    url: { type: "string" },
    model: { type: "string" },
    only: { type: "string" },
    small: { type: "boolean" },
  },
});
if (values.help) {
  console.log(HELP);
  Deno.exit(0);
}
if ((values.url === undefined) !== (values.model === undefined)) {
  throw new TypeError("--url and --model go together");
}
await using served = values.url === undefined ? await Served.start() : undefined;
const target = served === undefined
  ? { url: values.url!.replace(/\/$/, ""), model: values.model! }
  : { url: `${served.url}/v1`, model: served.model };
console.log("| client | language | does | works | time | answer |\n|---|---|---|---|---|---|");
let failed = 0;
const all = [...CLIENTS, ...(values.small ? [] : LARGE_CLIENTS)];
for (const client of all.filter(({ name }) => name.includes(values.only ?? ""))) {
  const { text, isOk } = await line(client, target);
  console.log(text);
  if (!isOk) failed++;
}
console.log(`\n${failed} failed`);
if (failed > 0) Deno.exitCode = 1;
