/** Who may open a socket. Pure. @module */

import { createHash, timingSafeEqual } from "node:crypto";
import { SUBPROTOCOL } from "../proto/limits.ts";

export interface UpgradeHeaders {
  origin?: string | undefined;
  authorization?: string | undefined;
  "sec-websocket-protocol"?: string | undefined;
}

export interface Refusal {
  status: 400 | 401 | 403;
  reason: string;
}

/** Why an upgrade is refused; `undefined` if it is not.
 * @param tokens Comma-separated, each as good as the others: while a token is changed, gateways
 * that know the new one and those that don't are let in. `undefined` asks for none. */
export function refuseUpgrade(
  headers: UpgradeHeaders,
  tokens: string | undefined,
): Refusal | undefined {
  // Gateways send no Origin; a browser always does, and no page has any business here.
  if (headers.origin !== undefined) return { status: 403, reason: "Origin is not allowed" };
  if (tokens !== undefined && !isToken(headers.authorization, tokens)) {
    return { status: 401, reason: "Authorization is not the node's token" };
  }
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  if (!offered.includes(SUBPROTOCOL)) {
    return { status: 400, reason: `Sec-WebSocket-Protocol lacks ${SUBPROTOCOL}` };
  }
  return undefined;
}

/** Digests have one length, so neither the token's length nor its start shows in the time; every
 * token is compared, whichever matches. */
function isToken(authorization: string | undefined, tokens: string): boolean {
  const sha256 = (text: string) => createHash("sha256").update(text).digest();
  const given = sha256(authorization ?? "");
  const names = tokens.split(",").map((token) => token.trim()).filter(Boolean);
  return names.map((token) => timingSafeEqual(given, sha256(`Bearer ${token}`))).includes(true);
}
