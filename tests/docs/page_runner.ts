/** Runs a page's examples as their readers would, against one server. @module */
import assert from "node:assert/strict";
import { runProcess } from "../../tools/process.ts";
import { Progress } from "../../tools/progress.ts";
import { ensurePackages, findPython } from "../../tools/python_packages.ts";
import { ROOT } from "../support/source_files.ts";
import type { Example } from "./examples.ts";
import { shellOf } from "./shown.ts";

const SHOWN_URL = "127.0.0.1:8000";
const PYTHON_PACKAGES = ["openai==3.54.0", "websockets==17.4"];

export class PageRunner {
  constructor(readonly url: string) {}

  async run({ language, text }: Example): Promise<void> {
    const shown = text.replaceAll(SHOWN_URL, new URL(this.url).host);
    if (language === "sh") {
      return await this.#program("bash", ["-c", shellOf(shown)]);
    }
    const file = await Deno.makeTempFile({ suffix: `.${language}` });
    try {
      await Deno.writeTextFile(file, shown);
      await this.#file(language, file);
    } finally {
      await Deno.remove(file);
    }
  }

  async #file(language: string, file: string): Promise<void> {
    const deno = Deno.execPath();
    if (language === "ts") {
      return await this.#program(deno, ["run", "-A", "--no-lock", "--no-config", file]);
    }
    if (language === "yaml") {
      return await this.#program(deno, ["run", "-A", "mod.ts", "config", "check", file]);
    }
    assert.equal(language, "python", `nothing runs ${language}: name the test that does`);
    const progress = new Progress("Python client openai");
    const PYTHONPATH = await ensurePackages("docs-examples", PYTHON_PACKAGES, { progress });
    await this.#program(await findPython(), [file], { PYTHONPATH });
  }

  async #program(name: string, args: string[], env: Record<string, string> = {}): Promise<void> {
    const { code, stdout, stderr } = await runProcess(name, args, { cwd: ROOT, env });
    assert.equal(code, 0, `status ${code}\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`);
    assert.ok(stdout.trim().length > 0, `it printed nothing; on stderr:\n${stderr}`);
  }
}
