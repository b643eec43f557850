/** What a node needs, made ready, as lines for a shell: the library, the model, the head.
 * @module */
import { prepareNode } from "../cli/node_options.ts";
import { CPU_LIBRARY } from "../tools/paths.ts";

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

const { model, head } = await prepareNode({
  model: Deno.env.get("REDRAFT_MODEL"),
  head: Deno.env.get("REDRAFT_HEAD"),
});
console.log(`LIBRARY=${quote(CPU_LIBRARY)}`);
console.log(`MODEL=${quote(model)}`);
console.log(`HEAD=${quote(head ?? "")}`);
