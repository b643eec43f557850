/** JSON Schema's formats of strings as patterns: each allows what every validator we know takes, so
 * some of what the format allows is left out. Pure.
 * @module */

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `(?:${OCTET}\\.){3}${OCTET}`;
const WORD = "[0-9a-fA-F]{1,4}";
/** One `::` for two words or more, or none. */
const IPV6 = [
  `(?:${WORD}:){7}${WORD}`,
  ...Array.from({ length: 7 }, (_, before) => {
    const first = before === 0 ? "" : `${WORD}(?::${WORD}){${before - 1}}`;
    const after = 6 - before;
    return `${first}::${after === 0 ? "" : `(?:${WORD}(?::${WORD}){0,${after - 1}})?`}`;
  }),
].join("|");

/** Year 0 is none in most languages. */
const YEAR = "(?:[1-9]\\d{3}|0[1-9]\\d\\d|00[1-9]\\d|000[1-9])";
const LEAP_YEAR = "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)";
const DAY = "(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)";
const DATE = `(?:${YEAR}-(?:${DAY}|02-(?:0[1-9]|1\\d|2[0-8]))|${LEAP_YEAR}-02-29)`;
/** No leap second, and a fraction that any clock can tell. */
const CLOCK = "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?";
const TIME = `${CLOCK}(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)`;
/** Units without a gap, as RFC 3339 has them; more digits would be beyond what languages keep. */
const AMOUNT = "\\d{1,4}";
const CLOCK_SPAN = ["H", "M", "S"];
const spans = (units: readonly string[]): string =>
  units.map((_, i) =>
    units.slice(i).reduceRight(
      (rest, unit) => `${AMOUNT}${unit}${rest === "" ? "" : `(?:${rest})?`}`,
      "",
    )
  ).join("|");
const DURATION = `P(?:${AMOUNT}W|(?:${spans(["Y", "M", "D"])})(?:T(?:${spans(CLOCK_SPAN)}))?|` +
  `T(?:${spans(CLOCK_SPAN)}))`;

const LABEL = "[0-9A-Za-z](?:[0-9A-Za-z-]{0,60}[0-9A-Za-z])?";
/** Four labels at most: so they never have more than 253 characters. */
const HOSTNAME = `${LABEL}(?:\\.${LABEL}){0,3}`;
/** Two hyphens would begin a name in another script, which must be a right one. */
const NAME = "(?:[0-9A-Za-z](?:-?[0-9A-Za-z]){0,20}\\.){1,3}[A-Za-z]{2,12}";
const NAME_OF_ANY_LENGTH = "(?:[0-9A-Za-z]+(?:-[0-9A-Za-z]+)*\\.)+[A-Za-z]{2,}";
const anyCase = (word: string) =>
  [...word].map((char) => `[${char}${char.toUpperCase()}]`).join("");
/** Domains that are nobody's, which some validators refuse. */
const NOBODYS = ["arpa", "invalid", "local", "localhost", "onion", "test"].map(anyCase).join("|");
const LOCAL_PART = "(?:[\\w'+-]+\\.)*[\\w'+-]*[\\w+-]";
const ADDRESS = `^(?![^@]*@.*\\.(?:${NOBODYS})$)`;

const URI_CHAR = "(?:[\\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})";
const PORT = "(?::(?:[1-9]\\d{0,3}|[1-5]\\d{4}))?";
const uri = (name: string, path: string): string =>
  `^https?://(?:${name}|localhost|${IPV4})${PORT}${path}$`;
const FREE_PATH = `(?:[/?]${URI_CHAR}*)?(?:#${URI_CHAR}*)?`;

const HEX = "[0-9a-fA-F]";
const UUID = `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}`;

/** By name, the pattern that its texts match. */
export const TEXT_FORMATS: Readonly<Record<string, string>> = {
  "date-time": `^${DATE}T${TIME}$`,
  time: `^${TIME}$`,
  date: `^${DATE}$`,
  duration: `^(?:${DURATION})$`,
  email: `${ADDRESS}(?=[^@]{1,64}@)${LOCAL_PART}@${NAME}$`,
  hostname: `^${HOSTNAME}$`,
  ipv4: `^${IPV4}$`,
  ipv6: `^(?:${IPV6})$`,
  uuid: `^${UUID}$`,
  uri: uri(NAME, FREE_PATH),
};

/** More characters than a text of a format has, but for `uri`, which has no end. */
const CHARS_MAX = 252;
/** A uri to where its path begins, at most. */
const HOST_CHARS_MAX = 154;
/** Where a length is given: each, percent-encoded, takes three. */
const PATH_CHARS_MAX = 120;
/** So short, no label of a name can be too long, so that a grammar need count characters alone. */
const SHORT_CHARS_MAX = 62;

/** The pattern of a format for texts of at most `most` characters, and how many its machine has to
 * count: with each part of a text counted for itself, there would be too many states. */
export function formatPattern(format: string, most: number): { pattern: string; most: number } {
  const pattern = TEXT_FORMATS[format]!;
  const short: Record<string, string> = {
    email: `${ADDRESS}${LOCAL_PART}@${NAME_OF_ANY_LENGTH}$`,
    uri: uri(NAME_OF_ANY_LENGTH, FREE_PATH),
    hostname: "^[0-9A-Za-z]+(?:[-.]?[0-9A-Za-z])*$",
  };
  if (format === "uri" && most >= CHARS_MAX) {
    const count = Math.min(PATH_CHARS_MAX, Math.floor((most - HOST_CHARS_MAX) / 3));
    const path = most === Infinity ? FREE_PATH : `(?:[/?]${URI_CHAR}{0,${count}})?`;
    return { pattern: uri(NAME, path), most: Infinity };
  }
  if (most >= CHARS_MAX) return { pattern, most: Infinity };
  if (!Object.hasOwn(short, format)) return { pattern, most };
  return { pattern: short[format]!, most: Math.min(most, SHORT_CHARS_MAX) };
}

/** What Zod writes beside `time`, though it has no offset: what reads the answer wants this one. */
export const LOCAL_TIME = "^(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?$";

/** Patterns that Zod writes beside a format, which cannot be kept as they are; what we allow of the
 * format matches them. */
export const PATTERNS_OF_FORMATS: Readonly<Record<string, string>> = {
  duration: "^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?" +
    "(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$",
  hostname: "^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?" +
    "(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$",
};
