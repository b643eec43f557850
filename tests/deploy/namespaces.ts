/** `deploy/test_namespaces.sh`: what deploy/ stands up, in network namespaces of this machine (two
 * gateways, three nodes, Redis, nginx), under a streaming load while links lose packets, Redis is
 * out of reach, processes are killed and everything is rolled. Prints a table of phases.
 * @module */
import { Load, type Phase, phaseTable } from "./load.ts";
import { makePlain } from "./links.ts";
import { PHASES } from "./phases.ts";
import { down, FRONT_URL, log, modelOf, readKey, up } from "./topology.ts";

const CLIENTS = 4;
const TOKENS_MAX = 32;
const PROBLEMS_SHOWN_MAX = 5;

/** @param wanted Part of a phase's name, or nothing for all; `short`: those of the short form. */
export async function prove(wanted: string | undefined, short: boolean): Promise<Phase[]> {
  await up();
  await makePlain();
  const key = await readKey();
  const load = new Load(FRONT_URL, key, await modelOf(FRONT_URL, key), TOKENS_MAX);
  await load.learn();
  const phases: Phase[] = [];
  for (const { name, work, short: isShort } of PHASES) {
    if (short ? !isShort : wanted !== undefined && !name.includes(wanted)) continue;
    log(name);
    const phase = await load.during(name, CLIENTS, 3, () => work(load));
    phases.push(phase);
    if (phase.note) log(`  ${phase.note}`);
    const problems = [...phase.failed, ...phase.changed].slice(0, PROBLEMS_SHOWN_MAX);
    for (const words of problems) log(`  ${words}`);
  }
  return phases;
}

const HELP = `Proves deploy/ in network namespaces; needs root, ip, nginx and redis-server.

  deploy/test_namespaces.sh [--short] [PHASE]

  --short   about a minute: steady, slow clients, a killed node
  PHASE     only phases whose name contains it
`;

/** Asked before minutes go into it. */
function problemOf(wanted: string | undefined, more: readonly string[]): string | undefined {
  const option = [wanted, ...more].find((word) => word?.startsWith("-"));
  if (option !== undefined) return `Unknown option ${option}: see --help`;
  if (more.length > 0) return `One PHASE at most, not '${more.join(" ")}' too`;
  if (wanted === undefined || PHASES.some(({ name }) => name.includes(wanted))) return undefined;
  return `No phase '${wanted}': ${PHASES.map(({ name }) => name).join("; ")}`;
}

async function main(args: string[]): Promise<number> {
  if (args.includes("--help")) {
    console.log(HELP);
    return 0;
  }
  const short = args.includes("--short");
  const [wanted, ...more] = args.filter((arg) => arg !== "--short");
  const problem = problemOf(wanted, more);
  if (problem !== undefined) {
    console.error(problem);
    return 1;
  }
  try {
    const phases = await prove(wanted, short);
    console.log(phaseTable(phases));
    for (const { name, note } of phases) if (note) console.log(`\n- ${name}: ${note}`);
    const lost = phases.reduce(
      (sum, { failed, changed }) => sum + failed.length + changed.length,
      0,
    );
    return phases.length > 0 && lost === 0 ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  } finally {
    await down();
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
