/** Opens once what nginx shall listen on, before anything starts: to `nginx -t` a port in use is
 * right. Reads the whole configuration (`nginx -T`) on standard input. @module */

/** Where a `listen` line has no port: nginx's own default, by who runs it. */
const PORT_DEFAULT = Deno.uid() === 0 ? 80 : 8000;

interface Place {
  hostname: string;
  port: number;
}

/** Of `443`, `*:443`, `[::]:443`, `name:443`, `10.0.0.1`. */
function placeOf(address: string): Place {
  const [, host, port] = /^(\[.*\]|[^:]*?)(?::?(\d+))?$/.exec(
    /^\d+$/.test(address) ? `*:${address}` : address,
  ) ?? [, address, undefined];
  const hostname = host === "*" || host === undefined ? "0.0.0.0" : host.replace(/^\[|\]$/g, "");
  return { hostname, port: port === undefined ? PORT_DEFAULT : Number(port) };
}

const [file] = Deno.args;
const text = await new Response(Deno.stdin.readable).text();
for (const [, words] of text.matchAll(/^\s*listen\s+([^;]+);/gm)) {
  const [address, ...more] = words!.trim().split(/\s+/);
  if (address!.startsWith("unix:") || more.includes("quic")) continue;
  const place = placeOf(address!);
  try {
    Deno.listen(place).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error; // nginx -t has named the others.
    console.error(`deploy: Port ${place.port} (listen ${words!.trim()}) is in use: mend ${file}`);
    Deno.exit(1);
  }
}
