/** Numbers within bounds, and multiples, digit by digit. Pure.
 *
 * A bounded number has no exponent and at most 15 digits in all: so many a double tells apart, and
 * what is less by its digits is less when it is read.
 * @module */
import type { CharSet } from "./char_set.ts";
import { DIGITS_MAX, SchemaError } from "./grammar_builder.ts";
import { machineOf, type TextMachine } from "./text_machine.ts";

const DIVISOR_MAX = 1000;
const [MINUS, POINT, ZERO] = [0x2d, 0x2e, 0x30];
const SETS: readonly CharSet[] = [
  [MINUS, MINUS],
  [POINT, POINT],
  ...Array.from({ length: 10 }, (_, digit) => [ZERO + digit, ZERO + digit]),
];
const digitOf = (code: number) => code >= ZERO && code <= ZERO + 9 ? code - ZERO : undefined;

export interface Decimal {
  isNegative: boolean;
  whole: string;
  /** Without zeros at its end. */
  fraction: string;
}

/** The digits with which JavaScript writes it. */
export function decimalOf(value: number): Decimal {
  const [mantissa, exponent] = Math.abs(value).toString().split("e");
  const [whole = "", fraction = ""] = mantissa!.split(".");
  const shift = Number(exponent ?? 0);
  const digits = "0".repeat(Math.max(0, -shift)) + whole + fraction +
    "0".repeat(Math.max(0, shift));
  const point = Math.max(0, -shift) + whole.length + shift;
  return {
    isNegative: value < 0,
    whole: digits.slice(0, point).replace(/^0+(?=.)/, "") || "0",
    fraction: digits.slice(point).replace(/0+$/, ""),
  };
}

/** How a number is written: no zero before the first digit, no `-0`. */
export function numberForm(isInteger: boolean): TextMachine {
  type At = "start" | "sign" | "zero" | "minus zero" | "whole" | "point" | "fraction";
  const step = ({ at, count }: { at: At; count: number }, code: number) => {
    const to = (next: At, digits: number) => ({ at: next, count: count + digits });
    if (code === MINUS) return at === "start" ? to("sign", 0) : undefined;
    if (code === POINT) {
      const isAble = ["zero", "minus zero", "whole"].includes(at) && count < DIGITS_MAX;
      return isAble && !isInteger ? to("point", 0) : undefined;
    }
    const digit = digitOf(code);
    if (digit === undefined || /zero/.test(at) || count >= DIGITS_MAX) return undefined;
    if (at === "point" || at === "fraction") return to("fraction", 1);
    if (digit !== 0 || at === "whole") return to("whole", 1);
    return to(at === "sign" ? "minus zero" : "zero", 1);
  };
  const ends = ({ at }: { at: At }) => at === "zero" || at === "whole" || at === "fraction";
  return machineOf<{ at: At; count: number }>(SETS, { at: "start", count: 0 }, step, ends);
}

export type Comparison = "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum";

interface Compared {
  isNegative: boolean;
  /** Digits so far of the whole part, then of the fraction; as far as they matter. */
  count: number;
  isFraction: boolean;
  /** Of the digits so far to as many of the bound's: -1, 0, 1. */
  order: number;
}

/** Numbers on the right side of a bound; the text is one of `numberForm()`. */
export function boundMachine(comparison: Comparison, bound: number): TextMachine {
  const { isNegative, whole, fraction } = decimalOf(bound);
  if (
    whole.length + fraction.length > DIGITS_MAX && whole !== "0" || fraction.length > DIGITS_MAX
  ) {
    throw new SchemaError("", `it has more than ${DIGITS_MAX} digits`);
  }
  const atPoint = ({ count, order }: Compared) => Math.sign(count - whole.length) || order;
  const isLower = comparison === "minimum" || comparison === "exclusiveMinimum";
  const step = (state: Compared, code: number): Compared | undefined => {
    if (code === MINUS) return isLower && bound > 0 ? undefined : { ...state, isNegative: true };
    if (!state.isNegative && !isLower && bound < 0) return undefined;
    if (code === POINT) return { ...state, isFraction: true, count: 0, order: atPoint(state) };
    const digit = digitOf(code);
    if (digit === undefined) return undefined;
    const own = state.isFraction ? fraction : whole;
    const other = Number(own[state.count] ?? "0");
    const isCompared = state.order === 0 && (state.isFraction || state.count < whole.length);
    const order = isCompared ? Math.sign(digit - other) : state.order;
    const countMax = state.isFraction ? (order === 0 ? fraction.length : 0) : whole.length + 1;
    const count = Math.min(state.count + 1, countMax);
    // So many digits are on the wrong side, whatever comes.
    if (!state.isFraction && count > whole.length && isLower === state.isNegative) return undefined;
    return { ...state, order, count };
  };
  const accepts = (state: Compared): boolean => {
    let order = state.isFraction ? state.order : atPoint(state);
    const digitsLeft = state.isFraction ? fraction.length - state.count : fraction.length;
    if (order === 0 && digitsLeft > 0) order = -1;
    if (bound !== 0 || order !== 0) {
      if (state.isNegative !== isNegative) order = state.isNegative ? -1 : 1;
      else if (isNegative) order = -order;
    }
    const isStrict = comparison.startsWith("exclusive");
    if (order === 0) return !isStrict;
    return isLower === (order > 0);
  };
  return machineOf(
    SETS,
    { isNegative: false, count: 0, isFraction: false, order: 0 },
    step,
    accepts,
  );
}

/** Multiples of a number, by their digits: 0.07 is one of 0.01, whatever doubles make of it. */
export function multipleMachine(divisor: number, isInteger: boolean): TextMachine {
  const { isNegative, whole, fraction } = decimalOf(divisor);
  if (isNegative || divisor === 0) throw new SchemaError("", "it is not a number above 0");
  if (whole.length > DIGITS_MAX) throw new SchemaError("", `it is beyond ${DIGITS_MAX} digits`);
  let places = fraction.length;
  let unit = Number(whole + fraction);
  if (places > DIGITS_MAX) throw new SchemaError("", `it has more than ${DIGITS_MAX} digits`);
  if (isInteger && places > 0) {
    // A whole number is a multiple of 2.5 if it is one of 5.
    unit /= gcd(unit, 10 ** places);
    places = 0;
  }
  let zeros = 0;
  while (places === 0 && unit % 10 === 0) [unit, zeros] = [unit / 10, zeros + 1];
  if (!Number.isSafeInteger(unit) || unit > DIVISOR_MAX) {
    throw new SchemaError("", `it is not supported with more than ${DIVISOR_MAX} remainders`);
  }
  return zeros > 0 ? roundMachine(unit, zeros) : remainderMachine(unit, places);
}

/** Multiples of `unit` units of 10^-places, with at most `places` digits after the point. */
function remainderMachine(unit: number, places: number): TextMachine {
  return machineOf<{ rest: number; places: number }>(
    SETS,
    { rest: 0, places: -1 },
    (state, code) => {
      if (code === MINUS) return state;
      if (code === POINT) return { ...state, places: 0 };
      const digit = digitOf(code);
      if (digit === undefined || state.places >= places) return undefined;
      const count = state.places < 0 ? -1 : state.places + 1;
      return { rest: (state.rest * 10 + digit) % unit, places: count };
    },
    (state) => {
      let rest = state.rest;
      for (let i = Math.max(0, state.places); i < places; i++) rest = rest * 10 % unit;
      return rest === 0;
    },
  );
}

/** Multiples of `unit` with `zeros` zeros at the end: few states where the divisor is large. */
function roundMachine(unit: number, zeros: number): TextMachine {
  const powers = Array.from({ length: zeros + 1 }, (_, i) => 10 ** i % unit);
  return machineOf<{ rest: number; zeros: number; isZero: boolean }>(
    SETS,
    { rest: 0, zeros: 0, isZero: true },
    (state, code) => {
      const digit = digitOf(code);
      if (code === POINT) return undefined;
      if (digit === undefined) return state;
      const isZero = state.isZero && digit === 0;
      if (isZero) return { rest: 0, zeros: 0, isZero };
      if (digit === 0 && state.zeros < zeros) return { ...state, zeros: state.zeros + 1 };
      if (digit === 0) return { ...state, rest: state.rest * 10 % unit };
      const all = state.rest * powers[state.zeros]! % unit;
      return { rest: (all * 10 + digit) % unit, zeros: 0, isZero };
    },
    (state) => state.isZero || (state.zeros === zeros && state.rest === 0),
  );
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
