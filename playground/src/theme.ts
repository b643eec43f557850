/** Light, dark, or as the system has it; kept for the next visit. @module */
import { useEffect, useState } from "preact/hooks";

const THEMES = ["auto", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];

const LABELS: Readonly<Record<Theme, string>> = {
  auto: "Colours: system",
  light: "Colours: light",
  dark: "Colours: dark",
};

/** A browser may refuse the store: then nothing is kept. */
function kept(): Theme {
  try {
    return THEMES.find((theme) => theme === localStorage.getItem("theme")) ?? "auto";
  } catch {
    return "auto";
  }
}

export function useTheme(): { label: string; next: () => void } {
  const [theme, setTheme] = useState<Theme>(kept());
  useEffect(() => {
    document.documentElement.dataset["theme"] = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // As above.
    }
  }, [theme]);
  const next = () => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!);
  return { label: LABELS[theme], next };
}
