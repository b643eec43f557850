/** Sampling and speculation: each setting's bounds, and the request's fields made of them. Pure.
 * @module */

export type Mode = "default" | "fixed" | "off";

export interface Settings {
  model: string;
  system: string;
  temperature: number;
  top_p: number;
  top_k: number;
  min_p: number;
  seed: number;
  max_tokens: number;
  mode: Mode;
  beam_width: number;
  beam_length: number;
  packed_max: number;
}

/** A fixed tree, for it can be looked at: what pays on a machine may be no tree at all. */
export const SETTINGS: Settings = {
  model: "",
  system: "",
  temperature: 0,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  seed: 1,
  max_tokens: 256,
  mode: "fixed",
  beam_width: 4,
  beam_length: 5,
  packed_max: 12,
};

export const MODES: readonly [Mode, string][] = [
  ["fixed", "a fixed tree"],
  ["default", "automatic: what pays here"],
  ["off", "off"],
];

export interface NumberSetting {
  field: Exclude<keyof Settings, "model" | "system" | "mode">;
  label: string;
  min: number;
  max: number;
  /** 1: whole numbers alone. */
  step: number;
  /** Of the fixed tree. */
  isTree?: boolean;
}

export const NUMBERS: readonly NumberSetting[] = [
  { field: "temperature", label: "Temperature", min: 0, max: 2, step: 0.1 },
  { field: "top_p", label: "Top p", min: 0, max: 1, step: 0.05 },
  { field: "top_k", label: "Top k (0: off)", min: 0, max: 1024, step: 1 },
  { field: "min_p", label: "Min p", min: 0, max: 1, step: 0.05 },
  { field: "seed", label: "Seed", min: 0, max: 2 ** 32 - 1, step: 1 },
  { field: "max_tokens", label: "Tokens at most", min: 1, max: 4096, step: 1 },
  { field: "beam_width", label: "Beam width", min: 1, max: 32, step: 1, isTree: true },
  { field: "beam_length", label: "Beam length", min: 1, max: 16, step: 1, isTree: true },
  { field: "packed_max", label: "Packed tokens", min: 1, max: 64, step: 1, isTree: true },
];

/** Why a number cannot be taken, or nothing. */
export function refuseNumber({ label, min, max, step }: NumberSetting, value: number) {
  const isNumber = step === 1 ? Number.isInteger(value) : Number.isFinite(value);
  if (isNumber && value >= min && value <= max) return undefined;
  return `${label}: ${step === 1 ? "a whole number" : "a number"} from ${min} to ${max}`;
}

/** Every reason why these settings cannot be sent. */
export function refuseSettings(settings: Settings): string[] {
  const used = NUMBERS.filter(({ isTree }) => !isTree || settings.mode === "fixed");
  return used.flatMap((number) => refuseNumber(number, settings[number.field]) ?? []);
}

/** The request's fields; `mode` may stand in for the settings' own. */
export function fieldsOf(settings: Settings, mode = settings.mode): Record<string, unknown> {
  const { model, temperature, top_p, top_k, min_p, seed, max_tokens } = settings;
  const { beam_width, beam_length, packed_max } = settings;
  const tree = mode === "fixed" ? { beam_width, beam_length, packed_max } : {};
  const speculation = { mode, trace: true, ...tree };
  return { model, temperature, top_p, top_k, min_p, seed, max_tokens, speculation };
}

/** One line: what stands behind the fold. */
export function settingsWords(settings: Settings): string {
  const { temperature, max_tokens, mode, beam_width, beam_length, packed_max } = settings;
  const drawn = temperature === 0 ? "greedy" : `temperature ${temperature}`;
  const tree = mode === "fixed"
    ? `tree ${beam_width} \u00d7 ${beam_length}, ${packed_max} tokens`
    : `speculation ${mode === "off" ? "off" : "automatic"}`;
  return `${drawn}, ${tree}, ${max_tokens} tokens at most`;
}
