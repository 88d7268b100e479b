/** Numbers for people. */

const SI: readonly (readonly [number, string])[] = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

const count = new Intl.NumberFormat("en");

/** `12,345` */
export function formatCount(n: number): string {
  return count.format(n);
}

/** `3 of 12 targets`, or `12 targets` where all are shown. */
export function formatShown(shown: number, all: number, what: string): string {
  return `${shown === all ? "" : `${formatCount(shown)} of `}${formatCount(all)} ${what}`;
}

/** `12.3k`, for axes. */
export function formatShort(n: number): string {
  const size = Math.abs(n);
  for (const [unit, letter] of SI) if (size >= unit) return `${Number((n / unit).toPrecision(4))}${letter}`;
  if (size !== 0 && size < 1e-3) return n.toExponential(2);
  return String(Number(n.toPrecision(4)));
}

/** `1.5 MiB` */
export function formatBytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${Number(n.toPrecision(3))} ${units[i]}`;
}

/** The number that a sample's text stands for: `+Inf`, `-Inf` and `NaN` among them. */
export function parseValue(text: string): number {
  if (text === "+Inf" || text === "Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  return Number(text);
}
