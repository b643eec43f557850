/** Whether two sets of times differ: by shuffling. Pure. @module */

const ROUNDS = 2000;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** The chance that medians lie as far apart where there is no difference. */
export function chanceOf(a: readonly number[], b: readonly number[]): number {
  const seen = Math.abs(median(a) - median(b));
  const all = [...a, ...b];
  let state = 1;
  let asFar = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = all.length - 1; i > 0; i--) {
      const j = (state = state * 48271 % 2147483647) % (i + 1);
      [all[i], all[j]] = [all[j]!, all[i]!];
    }
    if (Math.abs(median(all.slice(0, a.length)) - median(all.slice(a.length))) >= seen) asFar++;
  }
  return asFar / ROUNDS;
}
