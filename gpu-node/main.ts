/** The node process: opens the engine, serves it, says on standard output where, and ends when it
 * is told to or when the engine breaks: its supervisor starts it again. @module */

import type { Engine, ModelInfo } from "./engine.ts";
import { openStepEngine } from "./engine_step.ts";
import { openExecutorEngine } from "./executor_model.ts";
import { FlagError, HELP, type NodeFlags, parseFlags } from "./flags.ts";
import { stderrLog } from "./log.ts";
import { EngineError } from "./native_engine.ts";
import { NodeServer } from "./server.ts";

const TOKEN_VARIABLE = "REDRAFT_NODE_TOKEN";
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

const EXIT_BROKEN = 1;
const EXIT_USAGE = 2;

async function main(args: string[]): Promise<number> {
  try {
    const parsed = parseFlags(args);
    if (parsed.kind === "help") {
      console.log(HELP);
      return 0;
    }
    const token = Deno.env.get(TOKEN_VARIABLE) || undefined;
    if (token === undefined && !LOOPBACK.has(parsed.flags.host)) {
      throw new FlagError(`--host ${parsed.flags.host} is not loopback: set ${TOKEN_VARIABLE}`);
    }
    if (parsed.kind !== "info") expectFreePort(parsed.flags);
    const engine = await openEngine(parsed.flags);
    if (parsed.kind === "info") {
      console.log(JSON.stringify(describe(engine.model)));
      await engine.close();
      return 0;
    }
    return await serve(engine, parsed.flags, token);
  } catch (error) {
    if (error instanceof FlagError) {
      stderrLog("error", "node.usage", { error: error.message });
      return EXIT_USAGE;
    }
    // The engine's words are meant for people; any other error is a bug, and its stack helps.
    const known = error instanceof EngineError || error instanceof Deno.errors.AddrInUse;
    const words = error instanceof Error ? (known ? error.message : error.stack) : String(error);
    stderrLog("error", "node.failed", { error: words });
    return EXIT_BROKEN;
  }
}

/** Before the engine is opened, which takes seconds. */
function expectFreePort({ host, port }: NodeFlags): void {
  try {
    Deno.listen({ hostname: host, port }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    const message = `Cannot listen on ${host}:${port}: the port is in use; --port names another`;
    throw new Deno.errors.AddrInUse(message);
  }
}

function openEngine(flags: NodeFlags): Promise<Engine> {
  if (flags.backend === "trtllm") {
    const { model: engine, library, modelId, queueMax } = flags;
    return openExecutorEngine({
      engine,
      ...(library === undefined ? {} : { library }),
      ...(modelId === undefined ? {} : { modelId }),
      queueMax,
    });
  }
  const { model, head, library, threads, slotsMax, rowsMax, contextMax, pagesMax, kvMib } = flags;
  const { modelId, queueMax, budget, chunkMax, backend } = flags;
  return openStepEngine({
    model,
    backend,
    ...(head === undefined ? {} : { head }),
    ...(library === undefined ? {} : { library }),
    ...(threads === undefined ? {} : { threads }),
    slotsMax,
    rowsMax,
    contextMax,
    ...(pagesMax === undefined ? {} : { pagesMax }),
    ...(kvMib === undefined ? {} : { kvMib }),
    scheduling: {
      ...(modelId === undefined ? {} : { modelId }),
      queueMax,
      ...(budget === undefined ? {} : { budget }),
      ...(chunkMax === undefined ? {} : { chunkMax }),
    },
  });
}

/** The description without the tokenizer, which is a megabyte. */
function describe({ tokenizerJson, ...model }: ModelInfo): Record<string, unknown> {
  return { ...model, tokenizerBytes: tokenizerJson.length };
}

async function serve(
  engine: Engine,
  flags: NodeFlags,
  token: string | undefined,
): Promise<number> {
  const server = await NodeServer.listen(engine, {
    host: flags.host,
    port: flags.port,
    nodeId: flags.nodeId || `node-${flags.port || Deno.pid}`,
    ...(token === undefined ? {} : { token }),
    queueMax: flags.queueMax,
    created: Math.floor(Date.now() / 1000),
    log: stderrLog,
  });
  const signal = Promise.withResolvers<void>();
  const onSignal = () => signal.resolve();
  Deno.addSignalListener("SIGTERM", onSignal);
  Deno.addSignalListener("SIGINT", onSignal);
  const { id, backend, isa, device, backendReason, memory } = engine.model;
  const chosen = { backend, isa, device, backendReason, memory };
  console.log(JSON.stringify({ event: "ready", port: server.port, model: id, ...chosen }));
  stderrLog("info", "node.ready", { port: server.port, ...describe(engine.model) });
  let status = 0;
  try {
    await Promise.race([engine.ended, signal.promise]);
    await server.drain(flags.drainMs);
  } catch (error) {
    status = EXIT_BROKEN;
    stderrLog("error", "engine.broke", { error: error instanceof Error ? error.stack : error });
  }
  Deno.removeSignalListener("SIGTERM", onSignal);
  Deno.removeSignalListener("SIGINT", onSignal);
  // In this order each stream still learns how it ended.
  await engine.close();
  await server.close();
  stderrLog("info", "node.ended", { status });
  return status;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
