/** The settings, folded away under one line that says what they are. @module */
import { h } from "preact";
import type { Typed } from "./dom.ts";
import {
  MODES,
  NUMBERS,
  type NumberSetting,
  refuseNumber,
  type Settings,
  settingsWords,
} from "./settings_fields.ts";

interface SettingsProps {
  settings: Settings;
  models: readonly string[];
  change: (settings: Settings) => void;
}

type Set = (field: keyof Settings, value: unknown) => void;

function NumberField(
  { number, settings, set }: { number: NumberSetting; settings: Settings; set: Set },
) {
  const { field, label, min, max, step } = number;
  const value = settings[field];
  const problem = refuseNumber(number, value);
  const onInput = (e: Typed) => set(field, e.currentTarget.valueAsNumber);
  return h(
    "label",
    null,
    label,
    h("input", {
      type: "number",
      name: field,
      min,
      max,
      step,
      value: Number.isNaN(value) ? "" : value,
      "aria-invalid": problem !== undefined,
      "aria-errormessage": problem === undefined ? undefined : `wrong-${field}`,
      onInput,
    }),
    problem === undefined ? null : h("span", { class: "bad", id: `wrong-${field}` }, problem),
  );
}

function Choice({ label, name, value, options, onChange }: {
  label: string;
  name: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onChange: (value: string) => void;
}) {
  return h(
    "label",
    null,
    label,
    h(
      "select",
      { name, value, onChange: (e: Typed) => onChange(e.currentTarget.value) },
      options.map(([id, words]) => h("option", { value: id }, words)),
    ),
  );
}

export function ModeChoice({ value, without, onChange }: {
  value: string;
  without?: string;
  onChange: (value: string) => void;
}) {
  const options = MODES.filter(([mode]) => mode !== without);
  return h(Choice, { label: "Speculation", name: "mode", value, options, onChange });
}

export function SettingsView({ settings, models, change }: SettingsProps) {
  const set: Set = (field, value) => change({ ...settings, [field]: value });
  const numbers = (isTree: boolean) =>
    NUMBERS.filter((number) => (number.isTree === true) === isTree).map((number) =>
      h(NumberField, { key: number.field, number, settings, set })
    );
  return h(
    "details",
    { class: "settings" },
    h(
      "summary",
      null,
      h("b", null, "Settings"),
      h("span", { class: "quiet" }, settingsWords(settings)),
    ),
    h(
      "div",
      { class: "fields" },
      h(Choice, {
        label: "Model",
        name: "model",
        value: settings.model,
        options: models.map((id) => [id, id] as const),
        onChange: (value) => set("model", value),
      }),
      h(ModeChoice, { value: settings.mode, onChange: (value) => set("mode", value) }),
      settings.mode === "fixed" ? numbers(true) : null,
      numbers(false),
      h(
        "label",
        { class: "whole" },
        "System message",
        h("textarea", {
          name: "system",
          rows: 2,
          value: settings.system,
          onInput: (e: Typed) => set("system", e.currentTarget.value),
        }),
      ),
    ),
  );
}
