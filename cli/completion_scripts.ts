/** Completions for three shells, written from one tree of words. Pure. @module */

export interface CompletedOption {
  name: string;
  /** Something must follow it. */
  takesValue: boolean;
  /** From the command's help; may be empty. */
  words: string;
}

export interface CompletedCommand {
  /** As typed after `redraft`: one word, or two of a nested command. */
  path: readonly string[];
  summary: string;
  options: readonly CompletedOption[];
  /** Words that may follow without dashes. */
  words: readonly string[];
}

const isUnder = (path: readonly string[]) => (command: CompletedCommand) =>
  command.path.length === path.length + 1 && path.every((word, i) => command.path[i] === word);

/** Inside single quotes of a POSIX shell. */
function quoted(text: string): string {
  return "'" + text.replaceAll("'", "'\\''") + "'";
}

function bashCase(command: CompletedCommand, all: readonly CompletedCommand[]): string {
  const { path, options, words } = command;
  const children = all.filter(isUnder(path)).map((child) => child.path.at(-1)!);
  const valued = options.filter(({ takesValue }) => takesValue).map(({ name }) => `--${name}`);
  const choices = [...children, ...words, ...options.map(({ name }) => `--${name}`)];
  return `    ${quoted(path.join(" "))})
      choices=${quoted(choices.join(" "))}
      valued=${quoted(valued.join(" "))} ;;`;
}

export function bashScript(all: readonly CompletedCommand[]): string {
  const nested = all.filter(({ path }) => all.some(isUnder(path))).map(({ path }) => path[0]!);
  const names = all.filter(isUnder([])).map(({ path }) => path[0]!);
  return `# bash completion for redraft
_redraft() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  local place=\${COMP_WORDS[1]-} choices='' valued=''
  COMPREPLY=()
  case " ${nested.join(" ")} " in
    *" $place "*) ((COMP_CWORD > 2)) && place+=" \${COMP_WORDS[2]}" ;;
  esac
  ((COMP_CWORD == 1)) && place=''
  case $place in
    '') choices=${quoted([...names, "--help"].join(" "))} ;;
${all.map((command) => bashCase(command, all)).join("\n")}
  esac
  # After an option that takes a value: file names, by the default below.
  case " $valued " in *" $before "*) return ;; esac
  COMPREPLY=($(compgen -W "$choices" -- "$word"))
}
complete -o default -F _redraft redraft
`;
}

/** _arguments takes brackets and colons for its own. */
function zshWords(text: string): string {
  return text.replace(/[[\]:\\]/g, "\\$&");
}

function zshCase(command: CompletedCommand): string {
  const { path, options, words } = command;
  const specs = options.map(({ name, takesValue, words }) =>
    quoted(`--${name}[${zshWords(words)}]${takesValue ? ":value:_files" : ""}`)
  );
  const rest = words.length > 0 ? `*:word:(${words.join(" ")})` : "*:file:_files";
  return `    ${quoted(path.join(" "))}) _arguments ${[...specs, quoted(rest)].join(" ")} ;;`;
}

function zshNames(all: readonly CompletedCommand[], path: readonly string[]): string {
  return all.filter(isUnder(path)).map((child) =>
    quoted(`${child.path.at(-1)}:${child.summary.replaceAll(":", "\\:")}`)
  ).join(" ");
}

export function zshScript(all: readonly CompletedCommand[]): string {
  const nested = all.filter(({ path }) => all.some(isUnder(path)));
  const cases = nested.map(({ path }) =>
    `    ${quoted(path[0]!)})
      if ((CURRENT == 3)); then
        names=(${zshNames(all, path)})
        _describe command names
        return
      fi
      place="$words[2] $words[3]" ;;`
  );
  const leaves = all.filter((command) => !nested.includes(command));
  return `#compdef redraft
_redraft() {
  local -a names
  local place=$words[2]
  if ((CURRENT == 2)); then
    names=(${zshNames(all, [])})
    _describe command names
    return
  fi
  case $place in
${cases.join("\n")}
  esac
  case $place in
${leaves.map(zshCase).join("\n")}
  esac
}
if [ "$funcstack[1]" = _redraft ]; then _redraft "$@"; else compdef _redraft redraft; fi
`;
}

function fishLines(command: CompletedCommand): string[] {
  const { path, summary, options, words } = command;
  const at = "-n " + quoted(["__redraft_at", ...path].join(" "));
  const parent = "-n " + quoted(["__redraft_in", ...path.slice(0, -1)].join(" "));
  return [
    `complete -c redraft -f ${parent} -a ${path.at(-1)} -d ${quoted(summary)}`,
    ...options.map(({ name, takesValue, words }) =>
      `complete -c redraft ${at} -l ${name}${takesValue ? " -r -F" : ""} -d ${quoted(words)}`
    ),
    ...words.map((word) => `complete -c redraft -f ${at} -a ${word}`),
  ];
}

export function fishScript(all: readonly CompletedCommand[]): string {
  return `# fish completion for redraft
# Whether the command line begins with these words.
function __redraft_at
  set -l words (commandline -opc)[2..-1]
  test (count $words) -ge (count $argv); or return 1
  for i in (seq (count $argv))
    test "$words[$i]" = "$argv[$i]"; or return 1
  end
end
# Whether these words are all there is.
function __redraft_in
  test (count (commandline -opc)) -eq (math 1 + (count $argv)); and __redraft_at $argv
end
${all.flatMap(fishLines).join("\n")}
`;
}
