/** The node's log: one JSON object a line on standard error, never a token of anybody's. @module */

export type LogLevel = "info" | "warn" | "error";
export type Log = (level: LogLevel, event: string, fields?: Record<string, unknown>) => void;

const ENCODER = new TextEncoder();

export const stderrLog: Log = (level, event, fields = {}) => {
  const line = JSON.stringify({ time: new Date().toISOString(), level, event, ...fields });
  Deno.stderr.writeSync(ENCODER.encode(`${line}\n`));
};

export const silentLog: Log = () => {};
