/** The peers that `--peer` names: "llama", or an OpenAI-compatible server's address. @module */
import { ServerPeer } from "./peer.ts";
import { llamaSide, type PeerSide } from "./peer_engine.ts";
import { LlamaPeer } from "./peer_llama.ts";
import { runLlamaTurn, type SpecPeer } from "./peer_spec.ts";
import type { SessionOptions } from "./session.ts";

/** For `bench engine`.
 * @param sequencesMax That it will decode at once.
 * @throws {PeerError} If there is no such peer. */
export async function openPeer(
  target: string | undefined,
  { model, threads }: SessionOptions,
  sequencesMax: number,
): Promise<PeerSide | null> {
  if (target === undefined) return null;
  if (target !== "llama") return new ServerPeer(target);
  return llamaSide(await LlamaPeer.open(model, threads, sequencesMax));
}

/** For `bench spec`.
 * @throws {PeerError} If there is no such peer, or it does not answer. */
export async function openSpecPeer(
  target: string | undefined,
  { model, threads }: SessionOptions,
): Promise<SpecPeer | null> {
  if (target === undefined) return null;
  if (target !== "llama") {
    const server = new ServerPeer(target);
    await server.warm();
    return server;
  }
  const llama = await LlamaPeer.open(model, threads, 1);
  return {
    name: llama.name,
    turn: (prompt, count, rounds) => runLlamaTurn(llama, prompt, count, rounds),
    close: () => llama.close(),
  };
}
