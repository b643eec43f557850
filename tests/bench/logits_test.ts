import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const MOD = fileURLToPath(new URL("../../mod.ts", import.meta.url));

// Few positions say little of an average, but a fault in a kernel shows in each of them.
Deno.test("bench logits holds the engine near float64", async () => {
  const file = await Deno.makeTempFile();
  try {
    const prompt = {
      id: "a",
      category: "b",
      turns: ["Name three rivers and the seas they reach."],
    };
    await Deno.writeTextFile(file, JSON.stringify(prompt) + "\n");
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "-A", MOD, "bench", "logits"],
        ...["--prompts", file, "--max-tokens", "32", "--json"],
      ],
      env: { NO_COLOR: "1" },
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const report = JSON.parse(new TextDecoder().decode(stdout));
    assert.equal(report.positions, 32);
    assert.ok(report.kl_mean > 0 && report.kl_mean < 0.01, `${report.kl_mean}`);
    assert.ok(report.kl_max < 0.05, `${report.kl_max}`);
    assert.ok(report.top1_agreement >= 0.9, `${report.top1_agreement}`);
  } finally {
    await Deno.remove(file);
  }
});
