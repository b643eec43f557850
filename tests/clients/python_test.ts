/** Official Python clients against a running gateway, streamed and not. @module */
import { Served } from "../support/served.ts";
import { CLIENTS } from "./registry.ts";

Deno.test("Python clients get what they ask for, streamed and not", async (t) => {
  await using served = await Served.start();
  for (const client of CLIENTS.filter(({ language }) => language === "Python")) {
    await t.step(`${client.name}: ${client.does}`, async () => {
      await client.run({ url: `${served.url}/v1`, model: served.model });
    });
  }
});
