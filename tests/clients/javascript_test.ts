/** Official JavaScript clients against a running gateway, streamed and not. @module */
import { Served } from "../support/served.ts";
import { CLIENTS } from "./registry.ts";

Deno.test("JavaScript clients get what they ask for, streamed and not", async (t) => {
  await using served = await Served.start();
  for (const client of CLIENTS.filter(({ language }) => language === "JavaScript")) {
    await t.step(`${client.name}: ${client.does}`, async () => {
      await client.run({ url: `${served.url}/v1`, model: served.model });
    });
  }
});
