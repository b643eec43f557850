/** One client's WebSocket: many generations at once, as JSON events in the style of OpenAI's
 * Realtime and Responses APIs. @module */
import { newId, usageOf } from "./answer_shape.ts";
import type { KeyRing, Principal } from "./auth.ts";
import { readCacheControl } from "./cache_control.ts";
import { type ChoiceEvent, type ChoiceEvents, choiceEvents } from "./choice_events.ts";
import { type ApiError, badRequest, invalidValue, missing, toApiError } from "./errors.ts";
import { tooManyInFlight } from "./errors.ts";
import { Fields } from "./fields.ts";
import { parseJsonText } from "./json_body.ts";
import { MessageAllowance } from "./message_allowance.ts";
import { type GenerateRequest, readChatRequest, readCompletionRequest } from "./request.ts";
import { RequestRecord } from "./request_log.ts";
import type { RoutingWishes } from "./routing_headers.ts";
import { type Run, startRun } from "./run.ts";
import type { OpenSocket, Services } from "./services.ts";
import { type ClientSocket, SocketWriter } from "./socket_writer.ts";

export const IN_FLIGHT_MAX = 64;

const ROUTE = "/v1/generate";

/** What the headers of the handshake say: it holds for every generation. */
export interface Handshake extends RoutingWishes {
  traceparent?: string | null;
}

interface Response {
  id: string;
  run: Run;
  record: RequestRecord;
  sequenceNumber: number;
  events: ChoiceEvents[];
  finished: boolean[];
}

export class GenerateSocket implements OpenSocket {
  readonly #responses = new Map<string, Response>();
  readonly #allowance: MessageAllowance;
  readonly #writer: SocketWriter;
  #principal: Principal;
  #closed = false;
  #startingCount = 0;

  constructor(
    readonly services: Services,
    principal: Principal,
    socket: ClientSocket,
    readonly handshake: Handshake = {},
  ) {
    this.#principal = principal;
    this.#allowance = new MessageAllowance(services.now());
    this.#writer = new SocketWriter(socket, {
      now: services.now,
      onLost: (code, reason) => this.close(code, reason),
      onPoll: () => {
        for (const response of [...this.#responses.values()]) this.#flush(response);
      },
    });
    services.sockets.add(this);
  }

  get inFlight(): number {
    return this.#responses.size + this.#startingCount;
  }

  /** One message of the client. Never throws: an error is an event, or closes the socket. */
  receive(message: unknown): void {
    if (this.#closed) return;
    if (typeof message !== "string") return this.close(1003, "text messages only");
    if (message.length > this.services.options.bodyBytesMax) return this.close(1009, "too big");
    if (!this.#allowance.take(this.services.now())) return this.close(1008, "too many messages");
    let eventId: string | undefined;
    try {
      const fields = Fields.of(parseJsonText(message));
      eventId = fields.string("event_id", 256);
      const type = fields.requiredString("type", 64);
      if (type === "response.create") {
        this.#create(fields, eventId).catch((thrown) =>
          this.#sendError(toApiError(thrown), eventId)
        );
      } else if (type === "response.cancel") this.#cancel(fields);
      else throw invalidValue("type", "'type' must be 'response.create' or 'response.cancel'.");
    } catch (thrown) {
      // It came to no generation: told and counted like a request that is refused.
      const error = toApiError(thrown);
      this.#record().end(error.status, undefined, error.code);
      this.#sendError(error, eventId);
    }
  }

  #record(): RequestRecord {
    const { services, handshake } = this;
    const traceparent = handshake.traceparent ?? null;
    return new RequestRecord(services, ROUTE, newId("req_"), traceparent, this.#principal.tenant);
  }

  drain(): void {
    this.#send({ type: "server.draining" });
  }

  /** What its key may do now holds from its next generation on; without its key, it ends. */
  rekey(keys: KeyRing): void {
    const principal = keys.principalOf(this.#principal.keyId);
    if (principal === undefined) return this.close(1008, "the key is not valid any more");
    this.#principal = principal;
  }

  /** Idempotent: ends every generation of this socket. */
  close(code = 1000, reason = ""): void {
    if (this.#closed) return;
    this.#closed = true;
    this.services.sockets.delete(this);
    for (const response of this.#responses.values()) {
      response.record.end(499, response.run, "client_closed_request");
      response.run.leave();
    }
    this.#responses.clear();
    this.#writer.close(code, reason);
  }

  async #create(fields: Fields, eventId: string | undefined): Promise<void> {
    const principal = this.#principal;
    const record = this.#record();
    let run: Run;
    ++this.#startingCount;
    try {
      fields.refuseUnknown(CREATE_FIELDS);
      if (this.inFlight > IN_FLIGHT_MAX) throw tooManyInFlight(IN_FLIGHT_MAX);
      run = await startRun(this.services, readRequest(fields), {
        ...this.handshake,
        ...(principal.mayPickNode ? {} : { nodeIndex: undefined }),
        principal,
        cache: readCacheControl(fields.string("cache_control", 256) ?? null),
        traceparent: record.traceparent,
      });
    } catch (thrown) {
      const error = toApiError(thrown);
      record.end(error.status, undefined, error.code);
      throw error;
    } finally {
      --this.#startingCount;
    }
    if (this.#closed) {
      record.end(499, run, "client_closed_request");
      return run.leave();
    }
    record.submitted(run);
    const response: Response = {
      id: newId("resp_"),
      run,
      record,
      sequenceNumber: 0,
      events: choiceEvents(run),
      finished: run.choices.map(() => false),
    };
    this.#responses.set(response.id, response);
    this.#event(response, "response.created", {
      ...(eventId === undefined ? {} : { event_id: eventId }),
      response: { id: response.id, model: run.model.card.id, status: "in_progress" },
    });
    run.onWake = () => this.#flush(response);
    this.#flush(response);
  }

  #cancel(fields: Fields): void {
    fields.refuseUnknown(CANCEL_FIELDS);
    const id = fields.requiredString("response_id", 64);
    const response = this.#responses.get(id);
    // It may have ended while the message was on its way, which is no mistake of the client's.
    if (response === undefined) {
      throw badRequest("response_not_found", `No response '${id}' is open.`);
    }
    this.#end(response, 499, "response.cancelled", {
      response: { id, status: "cancelled", usage: usageOf(response.run) },
    }, "cancelled");
  }

  #flush(response: Response): void {
    if (this.#closed || this.#writer.isCongested()) return;
    try {
      this.#drainPieces(response);
    } catch (thrown) {
      this.#fail(response, toApiError(thrown));
    }
  }

  #drainPieces(response: Response): void {
    const { run, events, finished, record } = response;
    for (const choice of run.choices) {
      const { index, reader } = choice;
      if (finished[index]) continue;
      for (let piece = reader.take(); piece !== undefined; piece = reader.take()) {
        record.token();
        for (const event of events[index]!.push(piece)) this.#choiceEvent(response, event);
        if (this.#closed || this.#writer.isCongested()) return;
      }
      const outcome = reader.outcome;
      if (outcome === undefined) continue;
      if (outcome.kind === "failure") return this.#fail(response, run.failureOf(choice)!);
      finished[index] = true;
      const ends = events[index]!.finish(outcome.reason);
      for (const event of ends) this.#choiceEvent(response, event);
    }
    if (!finished.includes(false)) this.#complete(response);
  }

  #complete(response: Response): void {
    const { run, id } = response;
    const cut = run.choices.some(({ reader }) => {
      const outcome = reader.outcome;
      return outcome?.kind === "finish" && outcome.reason === "length";
    });
    const status = cut ? "incomplete" : "completed";
    this.#end(response, 200, `response.${status}`, {
      response: {
        id,
        model: run.model.card.id,
        status,
        ...(cut ? { incomplete_details: { reason: "max_output_tokens" } } : {}),
        usage: usageOf(run),
      },
    });
  }

  #fail(response: Response, error: ApiError): void {
    this.#end(response, error.status, "response.failed", {
      ...retryOf(error),
      response: { id: response.id, status: "failed", error },
    }, error.code);
  }

  #end(
    response: Response,
    status: number,
    type: string,
    fields: Record<string, unknown>,
    code?: string,
  ): void {
    this.#responses.delete(response.id);
    response.record.end(status, response.run, code);
    this.#event(response, type, fields);
    response.run.leave();
  }

  /** Built from parts, as it comes once a step. */
  #choiceEvent(response: Response, { type, fields }: ChoiceEvent): void {
    this.#writer.send(
      `{"type":"${type}","response_id":"${response.id}",` +
        `"sequence_number":${response.sequenceNumber++},${fields}}`,
    );
  }

  #event(response: Response, type: string, fields: Record<string, unknown>): void {
    const sequence_number = response.sequenceNumber++;
    this.#send({ type, response_id: response.id, sequence_number, ...fields });
  }

  #sendError(error: ApiError, eventId: string | undefined): void {
    if (error.status >= 500) this.services.log.write("error", "socket", { code: error.code });
    const event_id = eventId === undefined ? {} : { event_id: eventId };
    this.#send({ type: "error", ...event_id, ...retryOf(error), error });
  }

  #send(event: Record<string, unknown>): void {
    this.#writer.send(JSON.stringify(event));
  }
}

const CREATE_FIELDS: ReadonlySet<string> = new Set([
  "type",
  "event_id",
  "response",
  "cache_control",
]);
const CANCEL_FIELDS: ReadonlySet<string> = new Set(["type", "event_id", "response_id"]);

/** The headers that an error would have over HTTP say when to come back: events have none. */
function retryOf({ headers }: ApiError): { retry_after_ms?: number } {
  const ms = headers["retry-after-ms"];
  return ms === undefined ? {} : { retry_after_ms: Number(ms) };
}

/** The body is that of `/v1/chat/completions` or, with a `prompt`, of `/v1/completions`. */
function readRequest(fields: Fields): GenerateRequest {
  const response = fields.object("response");
  if (response === undefined) throw missing("response");
  const body = { ...(fields.get("response") as Record<string, unknown>), stream: true };
  return response.has("prompt") ? readCompletionRequest(body) : readChatRequest(body);
}
