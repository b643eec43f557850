/** The line, the count and the headers of a reply that `answer()` did not make: what lists, counts
 * or refuses. @module */
import type { Principal } from "./auth.ts";
import type { Reply } from "./reply.ts";
import { round } from "./request_log.ts";
import type { Services } from "./services.ts";

const NOBODY: Principal = { tenant: "", keyId: "", priority: 0 };

export class ReplyRecord {
  principal = NOBODY;
  /** Asked every few seconds by machines: told at level debug, unless it is refused. */
  isQuiet = false;
  /** The route has written line, count and headers itself, but for those of an error. */
  isRecorded = false;
  readonly #startedAt: number;

  /** @param route The route's path as it is declared; "none" where there is none. */
  constructor(readonly services: Services, readonly route: string, readonly requestId: string) {
    this.#startedAt = services.now();
  }

  end(reply: Reply, code?: string): void {
    if (this.isRecorded && code === undefined) return;
    const { services, route, requestId } = this;
    const { status } = reply;
    const durationMs = round(services.now() - this.#startedAt);
    reply.headers["x-request-id"] = requestId;
    reply.headers["server-timing"] = `gateway;dur=${durationMs}`;
    if (this.isRecorded) return;
    services.metrics.requests.add(1, { route, status: String(status) });
    const isNormal = this.isQuiet && (status < 400 || status === 503); // Not ready yet, say.
    const level = isNormal ? "debug" : status >= 500 ? "warn" : "info";
    services.log.write(level, "request", {
      request_id: requestId,
      tenant: this.principal.tenant || undefined,
      route,
      status,
      code,
      duration_ms: durationMs,
    });
  }
}
