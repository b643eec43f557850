/** Ends with status 0 if the process on this port lives: a container's health check. @module */
const [port] = Deno.args;
const response = await fetch(`http://127.0.0.1:${port}/healthz`);
await response.body?.cancel();
Deno.exit(response.ok ? 0 : 1);
