/** What the headers of a request, or of a WebSocket's handshake, wish of its way: its place in the
 * queue and its node, under our names and those that other gateways have for the same, so that who
 * comes from them need not change a client. Pure. @module */
import { type Principal, PRIORITY_MAX } from "./auth.ts";
import { invalidValue } from "./errors.ts";
import type { HeaderView } from "./http_request.ts";

export interface RoutingWishes {
  /** Requests of one session go to one node, other things being nearly equal. */
  session?: string;
  /** The only node that may take it, by its place in the configuration. */
  nodeIndex?: number;
  /** A request may put itself below its key's priority, never above. */
  priority?: number;
}

/** The first that is there counts. */
const SESSION_HEADERS = ["x-session-id", "x-smg-routing-key"];
const SESSION = /^[ -~]{1,256}$/;
const TARGET_HEADER = "x-smg-target-worker";
const PRIORITY_HEADER = "x-redraft-priority";

/** A node is chosen by its number alone, never by an address: what is not configured cannot be
 * reached. Of keys that may not choose, the header is as good as absent: who comes from another
 * gateway may send it still, and `workerHeaders()` says where the request went.
 * @throws {ApiError} 400, naming the header. */
export function readRouting(
  headers: HeaderView,
  principal: Principal,
  nodeCount: number,
): RoutingWishes {
  const wishes: RoutingWishes = {};
  const session = readSession(headers), priority = readPriority(headers);
  if (session !== undefined) wishes.session = session;
  if (priority !== undefined) wishes.priority = priority;
  const target = principal.mayPickNode ? headers.get(TARGET_HEADER) : null;
  if (target === null) return wishes;
  if (!/^[0-9]{1,3}$/.test(target) || Number(target) >= nodeCount) {
    const message = `The header ${TARGET_HEADER} must be a node's number as /v1/fleet tells it, ` +
      `from 0 to ${nodeCount - 1}.`;
    throw invalidValue(TARGET_HEADER, message);
  }
  return { ...wishes, nodeIndex: Number(target) };
}

function readSession(headers: HeaderView): string | undefined {
  for (const name of SESSION_HEADERS) {
    const value = headers.get(name);
    if (value === null || value === "") continue;
    if (SESSION.test(value)) return value;
    throw invalidValue(name, `The header ${name} must be at most 256 printable ASCII characters.`);
  }
  return undefined;
}

function readPriority(headers: HeaderView): number | undefined {
  const given = headers.get(PRIORITY_HEADER);
  if (given === null) return undefined;
  if (/^[0-9]{1,3}$/.test(given) && Number(given) <= PRIORITY_MAX) return Number(given);
  const message = `The header ${PRIORITY_HEADER} must be a number from 0 to ${PRIORITY_MAX}.`;
  throw invalidValue(PRIORITY_HEADER, message);
}

/** The node that an answer came from, by the number that `readRouting()` takes. */
export function workerHeaders(nodeIndex: number | undefined): Record<string, string> {
  return nodeIndex === undefined ? {} : { "x-smg-routed-worker-id": String(nodeIndex) };
}
