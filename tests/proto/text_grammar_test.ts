import assert from "node:assert/strict";
import { CLASSES, pairs } from "../../proto/char_set.ts";
import { compileSchema, SchemaError } from "../../proto/schema_grammar.ts";
import { TEXT_FORMATS } from "../../proto/text_formats.ts";
import { accepting, seeded, textsOf } from "../support/grammar_walks.ts";

const PATTERNS: ReadonlyArray<readonly [pattern: string, yes: string[], no: string[]]> = [
  ["^[A-Z]{2}\\d{4}$", ["AB1234"], ["AB123", "ab1234", "AB12345", "AB١٢٣٤"]],
  ["b", ["b", "abc", 'a"b\\', "bé😀"], ["", "a", "é"]],
  ["^a|b$", ["a", "ax", "xb", "b"], ["xa", "bx", ""]],
  ["(^|,)a(,|$)", ["a", "a,b", "b,a", "x,a,y"], ["ab", "x,ab", ""]],
  ["^(?:x{2,3}?|(?<y>y)+)z?$", ["xx", "xxxz", "yyyy"], ["x", "xxxx", "z"]],
  ["^.$", ["é", "😀", '"', "\\", "\t"], ["", "ab", "\n", "\u2028"]],
  ["^[^a-y\\d]{3}$", ["zzz", "Z-é", "\n\n\n"], ["zz", "abc", "z1z"]],
  ["^\\w+\\s\\S$", ["a_9 x", "a\t€"], ["é x", "ax", "a  "]],
  ["^\\D\\W$", ["a-", "é!"], ["1-", "aé", "a1"]],
  ["^[\\u00e9\\ud83d\\ude00-\\u{1f602}\\x41]+$", ["é😁A"], ["e", "😃"]],
  ["^\\^\\$\\.\\/[\\]\\-\\b]*$", ["^$./]-\b"], ["^$./x"]],
  ["^(?!.*\\.\\.)(?=..)[a.]+$", ["a.a", "aa"], ["a", "a..a", "b"]],
  ["^(a?){3}(b*)*$", ["", "aaab"], ["aaaa", "ba"]],
  ["", ["", "x"], []],
  ["^$", [""], ["x"]],
];

Deno.test("a pattern allows what it matches, and nothing else", () => {
  const random = seeded(7);
  for (const [pattern, yes, no] of PATTERNS) {
    const schema = { type: "string", pattern };
    const expression = new RegExp(pattern, "u");
    const accepts = accepting(schema);
    for (const text of yes) {
      assert(expression.test(text), `${pattern} matches ${text}`);
      assert(accepts(JSON.stringify(text)), `${pattern}: ${JSON.stringify(text)}`);
    }
    for (const text of no) assert(!accepts(JSON.stringify(text)), `${pattern}: no ${text}`);
    for (const text of textsOf(schema, 100, random)) {
      assert(expression.test(JSON.parse(text)), `${pattern}: ${text}`);
    }
  }
});

Deno.test("every short text is judged as the regular expression does", () => {
  const chars = ["a", "b", "c"];
  const texts = [""];
  for (let i = 0; texts.length < 1000; i++) texts.push(...chars.map((char) => texts[i]! + char));
  const random = seeded(11);
  const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)]!;
  const part = (depth: number): string => {
    if (depth === 0) return pick(["a", "b", "c", "[ab]", "[^a]", "."]);
    const own = () => part(depth - 1);
    return pick([
      () => own() + own(),
      () => `(?:${own()}|${own()})`,
      () => `(?:${own()})${pick(["*", "+", "?", "{2}", "{1,3}", "{2,}"])}`,
      () => `(?:${pick(["^", "(?:^|b)"])}${own()}|${own()}${pick(["$", "(?:c|$)"])})`,
    ])();
  };
  for (let i = 0; i < 150; i++) {
    const start = pick(["", "^", `^(?!${part(1)})`, `^(?=${part(1)})`]);
    const end = pick(["", "$"]);
    const pattern = start + `(?:${part(3)})` + end;
    const expression = new RegExp(pattern, "u");
    const least = pick([0, 2]);
    const right = texts.filter((text) => expression.test(text) && text.length >= least);
    let accepts = (_text: string) => false;
    try {
      accepts = accepting({ type: "string", pattern, minLength: least });
    } catch (error) {
      assert(error instanceof SchemaError);
      assert.match(error.message, /no value is valid/);
    }
    for (const text of texts) {
      const label = `${pattern} at least ${least}: '${text}'`;
      assert.equal(accepts(JSON.stringify(text)), right.includes(text), label);
    }
  }
});

Deno.test("what of a pattern is not regular, or too large, is refused in words", () => {
  const bad: ReadonlyArray<readonly [pattern: unknown, words: RegExp]> = [
    ["a(?=b)", /look-ahead is supported at '\^' alone/],
    ["^(?!a)b|c", /look-ahead is supported at '\^' alone/],
    ["(?<!a)b", /look-behind/],
    ["(a)\\1", /references to groups/],
    ["\\bfoo", /word boundaries/],
    ["(?i)a", /flags/],
    ["\\p{L}", /'\\p' is not supported/],
    ["a{2000}", /more than 1024 times/],
    ["a{3,2}", /fewer times/],
    ["(((a{99}){99}){99}){99}", /too large/],
    ["(a|b)*a(a|b){20}$", /too large/],
    ["(".repeat(40) + ")".repeat(40), /nested too deeply/],
    ["a**", /repeats a repetition/],
    ["(a", /not closed/],
    ["a)", /too many/],
    ["[a", /not closed/],
    ["[]", /empty class/],
    ["[z-a]", /range/],
    ["\\ud83d", /half of a character/],
    ["a\\", /backslash/],
    [7, /not a string/],
    ["^[^\\u0000-\\u{10ffff}]$", /no value is valid/],
  ];
  for (const [pattern, words] of bad) {
    assert.throws(() => compileSchema({ type: "string", pattern }), (error) => {
      assert(error instanceof SchemaError, String(error));
      assert.equal(error.path, ".pattern");
      assert.match(error.message, words, String(pattern));
      return true;
    });
  }
});

Deno.test("classes are what every engine takes them for", () => {
  const digits = /\p{Nd}/u;
  const words = /[\p{Alphabetic}\p{M}\p{N}\p{Pc}\p{Join_Control}]/u;
  const forbidden = [[CLASSES.D!, digits], [CLASSES.W!, words], [CLASSES.S!, /\s/]] as const;
  for (const [{ sure }, expression] of forbidden) {
    for (const [low, high] of pairs(sure)) {
      for (let code = low; code <= Math.min(high, 0x3ffff); code++) {
        if (!expression.test(String.fromCodePoint(code))) continue;
        assert.fail(`U+${code.toString(16)} matches ${expression}`);
      }
    }
  }
});

Deno.test("a pattern and lengths hold together", () => {
  const schema = { type: "string", pattern: "^(ab)*c?$", minLength: 3, maxLength: 5 };
  const accepts = accepting(schema);
  for (const text of ["abc", "abab", "ababc"]) assert(accepts(JSON.stringify(text)), text);
  for (const text of ["", "c", "ab", "ababab"]) assert(!accepts(JSON.stringify(text)), text);
  assert.throws(() => compileSchema({ type: "string", pattern: "^a{3}$", maxLength: 2 }), {
    message: "no value is valid by it",
  });
});

interface FormatCase {
  yes: string[];
  no: string[];
  /** Judges what a walk writes. */
  isValid: (text: string) => boolean;
}

const isDate = (text: string) => {
  const date = new Date(`${text}T00:00:00Z`);
  return !isNaN(date.getTime()) && date.toISOString().slice(0, 10) === text;
};
const isTime = (text: string) =>
  /^\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) &&
  !isNaN(new Date(`2000-01-01T${text}`).getTime());
const isUrl = (text: string) => ["http:", "https:"].includes(new URL(text).protocol);
const LABEL = /^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/i;
const isHost = (text: string) =>
  text.length <= 253 && text.split(".").every((label) => LABEL.test(label));

const FORMATS: Record<string, FormatCase> = {
  date: {
    yes: ["2024-02-29", "2000-02-29", "2023-12-31", "0001-01-01", "9999-12-31"],
    no: ["2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "0000-01-01", "2024-1-1"],
    isValid: isDate,
  },
  time: {
    yes: ["23:59:59Z", "00:00:00.5+05:30"],
    no: ["24:00:00Z", "12:00:00", "12:00Z", "12:00:60Z"],
    isValid: isTime,
  },
  "date-time": {
    yes: ["2024-02-29T12:30:00Z", "2024-01-01T00:00:00.123456-08:00"],
    no: ["2024-02-30T12:30:00Z", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00"],
    isValid: (text) => isDate(text.slice(0, 10)) && text[10] === "T" && isTime(text.slice(11)),
  },
  duration: {
    yes: ["P3Y6M4DT12H30M5S", "PT20M", "P2W", "P1D"],
    no: ["P", "PT", "P1S", "P1Y2W", "1D", "P1DT"],
    isValid: (text) =>
      /^P(?!$)((\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?|(\d+W)?)$/.test(text),
  },
  email: {
    yes: ["jane.doe+x@example.com", "o'neil@mail.example.co.uk", "A_1@EXAMPLE.org", "a@latest.de"],
    no: ["a@b", ".a@b.de", "a..b@c.de", "a@-b.de", "a@b.test", "a@b.LOCAL", "a b@c.de", "@c.de"],
    isValid: (text) => {
      const [local, host, ...rest] = text.split("@");
      return rest.length === 0 && local!.length <= 64 && /^[\w'+-]+(\.[\w'+-]+)*$/.test(local!) &&
        isHost(host!) && !/\.(arpa|invalid|local|localhost|onion|test)$/i.test(host!);
    },
  },
  hostname: {
    yes: ["localhost", "a-b.example.com", "1.2"],
    no: ["-a", "a-", "a..b", "a_b", "", "x".repeat(64)],
    isValid: isHost,
  },
  ipv4: {
    yes: ["0.0.0.0", "255.255.255.255", "192.168.1.10"],
    no: ["256.1.1.1", "1.2.3", "01.2.3.4"],
    isValid: (text) => new URL(`http://${text}`).hostname === text,
  },
  ipv6: {
    yes: ["::", "::1", "2001:db8::8a2e:370:7334", "1:2:3:4:5:6:7:8", "fe80::"],
    no: [":::", "1:2:3:4:5:6:7", "1::2::3", "1:2:3:4:5:6:7:8:9", "12345::"],
    isValid: (text) => new URL(`http://[${text}]`).hostname.length > 0,
  },
  uuid: {
    yes: ["123e4567-e89b-12d3-a456-426614174000"],
    no: ["123e4567e89b12d3a456426614174000", "g23e4567-e89b-12d3-a456-426614174000"],
    isValid: (text) => /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text),
  },
  uri: {
    yes: ["https://example.com", "http://localhost:8000/v1?a=b%20c", "https://10.0.0.1/x"],
    no: ["example.com", "https://", "https://a b.com", "https://example.com/%zz", "/x"],
    isValid: isUrl,
  },
};

Deno.test("formats allow nothing that is not of them, and what is usual", () => {
  assert.deepEqual(Object.keys(FORMATS).sort(), Object.keys(TEXT_FORMATS).sort());
  for (const [format, { yes, no, isValid }] of Object.entries(FORMATS)) {
    const random = seeded(13);
    for (const maxLength of [undefined, 2083, 60]) {
      const schema = { type: "string", format, ...(maxLength === undefined ? {} : { maxLength }) };
      const accepts = accepting(schema);
      for (const text of yes) assert(accepts(JSON.stringify(text)), `${format}: ${text}`);
      for (const text of no) assert(!accepts(JSON.stringify(text)), `${format}: no ${text}`);
      const texts = textsOf(schema, 100, random);
      assert(texts.length > 30, format);
      for (const text of texts.map((json) => JSON.parse(json))) {
        assert(isValid(text) && text.length <= (maxLength ?? Infinity), `${format}: ${text}`);
      }
    }
  }
});

Deno.test("a format that nobody has defined is refused, unless a pattern says what it is", () => {
  assert.throws(() => compileSchema({ type: "string", format: "jwt" }), {
    path: ".format",
    message: "this format is not supported",
  });
  const accepts = accepting({ type: "string", format: "starts_with", pattern: "^x.*" });
  assert(accepts('"xy"') && !accepts('"yx"'));
});

Deno.test("a pattern beside a format holds too, as libraries have written both", () => {
  const local = "^(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?$";
  const time = accepting({ type: "string", format: "time", pattern: local });
  assert(time('"12:30"') && !time('"12:30:00Z"'));
  const mail = "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@" +
    "([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$";
  const email = accepting({ type: "string", format: "email", pattern: mail });
  assert(email('"jane.doe@example.com"') && !email('"jane..doe@example.com"'));
  const decimal = accepting({ type: "string", pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$" });
  assert(decimal('"-0.5"') && decimal('"7."') && !decimal('"-."') && !decimal('"1e5"'));
  const inYear = accepting({ type: "string", format: "date", pattern: "^2024" });
  assert(inYear('"2024-02-29"') && !inYear('"2023-02-28"'));
});
