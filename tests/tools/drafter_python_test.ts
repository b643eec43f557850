/** The trainer keeps to the oldest Python that its pages name, whichever one runs its tests. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Progress } from "../../tools/progress.ts";
import { ensurePackages, findPython } from "../../tools/python_packages.ts";
import { ran } from "../deploy/scripts.ts";
import { ROOT } from "../support/source_files.ts";

const PROJECT = await Deno.readTextFile(join(ROOT, "drafter", "pyproject.toml"));
const LEAST = /^requires-python = ">=(.+)"$/m.exec(PROJECT)![1]!;

async function vermin(...paths: string[]) {
  const packages = ["vermin==1.9.2"];
  const folder = await ensurePackages("vermin", packages, { progress: new Progress("vermin") });
  const target = `--target=${LEAST}-`;
  const args = [
    join(folder, "bin", "vermin"),
    target,
    "--eval-annotations",
    "--no-tips",
    "--violations",
  ];
  return await ran(await findPython(), [...args, ...paths], { PYTHONPATH: folder });
}

Deno.test("drafter/ asks for no newer Python than it says", async () => {
  const readme = await Deno.readTextFile(join(ROOT, "drafter", "README.md"));
  assert.ok(readme.includes(`(Python >= ${LEAST})`));
  const { code, text } = await vermin(
    ...["redraft_drafter", "tests"].map((name) => join(ROOT, "drafter", name)),
  );
  assert.equal(code, 0, text);
});

Deno.test("what is newer is found", async () => {
  const path = await Deno.makeTempFile({ suffix: ".py" });
  await Deno.writeTextFile(path, "import hashlib\nprint(hashlib.file_digest)\n");
  const { code, text } = await vermin(path);
  assert.notEqual(code, 0);
  assert.match(text, /'hashlib\.file_digest' member requires .*3\.11/);
  await Deno.remove(path);
});
