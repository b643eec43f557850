/** Sampling and speculation, as the request has them. @module */
import { h } from "preact";
import { useKey } from "./ask.ts";

export interface Settings {
  model: string;
  temperature: number;
  top_p: number;
  seed: number;
  max_tokens: number;
  mode: "default" | "fixed" | "off";
  beam_width: number;
  beam_length: number;
  packed_max: number;
}

export const SETTINGS: Settings = {
  model: "",
  temperature: 0,
  top_p: 1,
  seed: 1,
  max_tokens: 200,
  mode: "fixed",
  beam_width: 4,
  beam_length: 6,
  packed_max: 16,
};

/** The request's fields; `mode` may stand in for the settings' own. */
export function fieldsOf(settings: Settings, mode = settings.mode): Record<string, unknown> {
  const { beam_width, beam_length, packed_max, model, temperature, top_p, seed } = settings;
  const budget = mode === "fixed" ? { beam_width, beam_length, packed_max } : {};
  const { max_tokens } = settings;
  const speculation = { mode, trace: true, ...budget };
  return { model, temperature, top_p, seed, max_tokens, speculation };
}

const NUMBERS: readonly [keyof Settings, string, number, number, number][] = [
  ["temperature", "Temperature", 0, 2, 0.1],
  ["top_p", "Top p", 0, 1, 0.05],
  ["seed", "Seed", 0, 2 ** 31, 1],
  ["max_tokens", "Tokens at most", 1, 4096, 1],
  ["beam_width", "Beam width", 1, 32, 1],
  ["beam_length", "Beam length", 1, 16, 1],
  ["packed_max", "Packed tokens at most", 1, 64, 1],
];

interface Props {
  settings: Settings;
  models: readonly string[];
  change: (settings: Settings) => void;
  retry: () => void;
}

type Typed = { currentTarget: HTMLInputElement & HTMLSelectElement };

export function SettingsView({ settings, models, change, retry }: Props) {
  const set = (field: keyof Settings, value: unknown) => change({ ...settings, [field]: value });
  const select = (field: "model" | "mode", label: string, values: readonly string[]) =>
    h(
      "label",
      null,
      label,
      h(
        "select",
        { value: settings[field], onChange: (e: Typed) => set(field, e.currentTarget.value) },
        values.map((value) => h("option", { value }, value)),
      ),
    );
  const isBudget = (field: string) => /^beam|^packed/.test(field);
  const number = ([field, label, min, max, step]: (typeof NUMBERS)[number]) =>
    isBudget(field) && settings.mode !== "fixed" ? null : h(
      "label",
      { key: field },
      label,
      h("input", {
        type: "number",
        min,
        max,
        step,
        value: settings[field],
        onChange: (e: Typed) => set(field, e.currentTarget.valueAsNumber),
      }),
    );
  return h(
    "section",
    { "aria-label": "Settings" },
    h("h2", null, "Settings"),
    select("model", "Model", models),
    NUMBERS.filter(([field]) => !isBudget(field)).map(number),
    select("mode", "Speculation", ["default", "fixed", "off"]),
    NUMBERS.filter(([field]) => isBudget(field)).map(number),
    h(
      "label",
      null,
      "API key, where one is needed",
      h("input", {
        type: "password",
        autocomplete: "off",
        onChange: (e: Typed) => (useKey(e.currentTarget.value), retry()),
      }),
    ),
  );
}
