/** What a device's own machine code shows of each kernel. Pure. @module */

/** Of one kernel and architecture, counted in what cuobjdump disassembles. */
export interface Inspected {
  name: string;
  arch: string;
  instructions: number;
  /** Matrix instructions: on halves and bf16, and on 8-bit integers. */
  hmma: number;
  imma: number;
  /** Loads and stores of local memory: what fits no register, or is indexed at run time. */
  local: number;
}

const KERNEL = /^\s*Function : (\w+)/;
/** The address, a predicate where there is one, and the instruction. */
const INSTRUCTION = /^\s*\/\*[0-9a-f]{4,}\*\/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9]*)/;

/** @param words What `cuobjdump -sass` writes of one fat binary.
 * @throws {Error} If there is no kernel, or one without an instruction: the format is another. */
export function readSass(words: string): Inspected[] {
  const found: Inspected[] = [];
  let arch = "", open: Inspected | undefined;
  for (const line of words.split("\n")) {
    arch = /^\s*code for (\w+)/.exec(line)?.[1] ?? arch;
    const name = KERNEL.exec(line)?.[1];
    if (name !== undefined) {
      open = { name, arch, instructions: 0, hmma: 0, imma: 0, local: 0 };
      found.push(open);
    }
    const word = INSTRUCTION.exec(line)?.[1];
    if (!open || word === undefined) continue;
    ++open.instructions;
    if (word === "HMMA") ++open.hmma;
    else if (word === "IMMA") ++open.imma;
    else if (word === "LDL" || word === "STL") ++open.local;
  }
  const empty = found.find(({ instructions, arch }) => instructions === 0 || arch === "");
  if (empty) throw new Error(`Cannot read SASS: no instructions of ${empty.name}`);
  if (found.length === 0) throw new Error("Cannot read SASS: it names no kernel");
  return found;
}
