/** A streamed answer as a test reads it: all events, and how the stream ended. @module */

export interface Streamed {
  // deno-lint-ignore no-explicit-any
  events: any[];
  text: string;
  /** Whether `[DONE]` came. */
  done: boolean;
}

/** Reads a server-sent event stream to its end.
 * @param onEvent Told of each event as it comes. */
export async function readStream(
  response: Response,
  onEvent: (count: number) => void = () => {},
): Promise<Streamed> {
  const streamed: Streamed = { events: [], text: "", done: false };
  let pending = "";
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    const lines = (pending + piece).split("\n");
    pending = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      const data = line.slice(6);
      if (data === "[DONE]") {
        streamed.done = true;
        continue;
      }
      const event = JSON.parse(data);
      streamed.events.push(event);
      streamed.text += event.choices?.[0]?.delta?.content ?? "";
      onEvent(streamed.events.length);
    }
  }
  return streamed;
}
