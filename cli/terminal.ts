/** What a terminal shows and a log can take: colours for the one, plain lines for the other.
 * @module */

const encoder = new TextEncoder();

/** Colours go to terminals alone, and not where NO_COLOR asks for none. */
export function hasColours(): boolean {
  return Deno.stdout.isTerminal() && !Deno.noColor;
}

export type Style = "bold" | "dim" | "draft" | "bonus";

/** What the target model drew looks as text does. */
const CODES: Readonly<Record<Style, string>> = { bold: "1", dim: "2", draft: "32", bonus: "" };

export function styled(style: Style, text: string): string {
  const isPlain = text === "" || CODES[style] === "" || !hasColours();
  return isPlain ? text : `\x1b[${CODES[style]}m${text}\x1b[0m`;
}

export function print(text: string): void {
  const bytes = encoder.encode(text);
  for (let start = 0; start < bytes.length;) {
    start += Deno.stdout.writeSync(bytes.subarray(start));
  }
}

/** A model may say what moves the cursor or renames the window: it is shown, not done. */
export function harmless(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "\ufffd");
}
