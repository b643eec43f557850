/** What a node needs, made ready, as lines for a shell: the library, the model, the head.
 * @module */
import { prepareNode } from "../cli/node_options.ts";
import { CPU_LIBRARY, CUDA_LIBRARY } from "../tools/paths.ts";

const LIBRARIES: Readonly<Record<string, string>> = { cpu: CPU_LIBRARY, cuda: CUDA_LIBRARY };

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function refuse(words: string): never {
  console.error(`deploy: ${words}`);
  Deno.exit(1);
}

const backend = Deno.env.get("REDRAFT_BACKEND") || "cpu";
const library = LIBRARIES[backend] ??
  refuse(`REDRAFT_BACKEND is '${backend}': set one of ${Object.keys(LIBRARIES).join(", ")}`);
try {
  const { model, head } = await prepareNode({
    backend,
    model: Deno.env.get("REDRAFT_MODEL") || undefined,
    head: Deno.env.get("REDRAFT_HEAD") || undefined,
  });
  console.log(`LIBRARY=${quote(library)}`);
  console.log(`MODEL=${quote(model)}`);
  console.log(`HEAD=${quote(head ?? "")}`);
} catch (error) {
  refuse(error instanceof Error ? error.message : String(error));
}
