import assert from "node:assert/strict";
import { refuseUpgrade } from "../../gpu-node/access.ts";

const GOOD = { "sec-websocket-protocol": "other, redraft.v1", authorization: "Bearer secret" };

Deno.test("refuseUpgrade() lets a gateway with the token in, and nobody else", () => {
  assert.equal(refuseUpgrade(GOOD, "secret"), undefined);
  assert.equal(refuseUpgrade(GOOD, undefined), undefined);
  const status = (headers: Parameters<typeof refuseUpgrade>[0]) =>
    refuseUpgrade(headers, "secret")?.status;
  assert.equal(status({ ...GOOD, origin: "http://page" }), 403);
  assert.equal(status({ ...GOOD, authorization: undefined }), 401);
  assert.equal(status({ ...GOOD, authorization: "Bearer secre" }), 401);
  assert.equal(status({ ...GOOD, authorization: "secret" }), 401);
  assert.equal(status({ ...GOOD, "sec-websocket-protocol": "redraft.v10" }), 400);
  assert.equal(status({ authorization: "Bearer secret" }), 400);
});

Deno.test("refuseUpgrade() takes any of several tokens, and never an empty one", () => {
  const status = (token: string, tokens: string) =>
    refuseUpgrade({ ...GOOD, authorization: `Bearer ${token}` }, tokens)?.status;
  assert.equal(status("old", "new, old"), undefined);
  assert.equal(status("new", "new, old"), undefined);
  assert.equal(status("new,old", "new,old"), 401);
  assert.equal(status("", "new,,old,"), 401);
  assert.equal(status("", ","), 401);
});
