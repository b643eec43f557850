/** Telemetry of the two processes: Deno's own OpenTelemetry, on where a collector is named.
 * @module */

type Env = (name: string) => string | undefined;

/** What a child's environment lacks to send its spans and runtime metrics to the collector.
 * @param name Of the service, where `OTEL_SERVICE_NAME` does not give one. */
export function telemetryEnv(name: string, env: Env): Record<string, string> {
  if (!env("OTEL_EXPORTER_OTLP_ENDPOINT")) return {};
  return {
    OTEL_DENO: "true",
    OTEL_SERVICE_NAME: env("OTEL_SERVICE_NAME") || `redraft-${name}`,
    // The log has its own way, standard error, and joins lines that leave together.
    OTEL_DENO_CONSOLE: env("OTEL_DENO_CONSOLE") || "ignore",
  };
}
