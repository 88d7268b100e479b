/** Which of many names was meant by a misspelt one. */

/** The least number of letters that have to be changed, added, left out or swapped; more than `limit` counts as `limit + 1`. */
export function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
      least = Math.min(least, cost);
    }
    if (least > limit) return limit + 1;
    before = last;
    last = row;
  }
  return last[b.length] ?? limit + 1;
}

/** The names that are nearest to one that is not among them, best first. */
export function nearest(name: string, names: readonly string[], most = 3): string[] {
  // One letter of three may be wrong, in long names four.
  const limit = Math.min(4, Math.max(1, Math.floor(name.length / 3)));
  const lower = name.toLowerCase();
  const close: [number, string][] = [];
  for (const other of names) {
    if (other === name) continue;
    let far = distance(lower, other.toLowerCase(), limit);
    // A name that goes on, or a suffix too many, is a slip as common as a wrong letter.
    if (far > limit && name.length >= 5 && (other.startsWith(`${name}_`) || name.startsWith(`${other}_`))) far = limit;
    if (far <= limit) close.push([far, other]);
  }
  close.sort(([a, x], [b, y]) => a - b || (x < y ? -1 : 1));
  return close.slice(0, most).map(([, other]) => other);
}
