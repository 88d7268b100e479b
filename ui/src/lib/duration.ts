/** Durations as Prometheus writes them, in milliseconds: `1h30m`, `15s`, `250ms`. */

const UNITS: readonly (readonly [string, number])[] = [
  ["y", 365 * 86_400_000],
  ["w", 7 * 86_400_000],
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
];

const FORM = /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;

/** Milliseconds, or null if the text is no duration. A number alone counts as seconds. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000;
  const parts = FORM.exec(trimmed);
  if (!parts) return null;
  return UNITS.reduce((sum, [, ms], i) => sum + Number(parts[i + 1] ?? 0) * ms, 0);
}

/** The duration with its units; weeks and years only where nothing is left over. */
export function formatDuration(ms: number): string {
  if (ms <= 0) return "0s";
  let left = Math.round(ms);
  let text = "";
  for (const [unit, size] of UNITS) {
    const isExact = unit === "y" || unit === "w";
    if (left < size || (isExact && left % size !== 0)) continue;
    text += `${Math.floor(left / size)}${unit}`;
    left %= size;
  }
  return text;
}

/** For people: the two largest units, `2h 5m`, or `3.2 ms`. */
export function humanDuration(ms: number): string {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 1000) return `${Number(ms.toPrecision(3))} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toPrecision(3))} s`;
  const parts: string[] = [];
  let left = Math.round(ms / 1000) * 1000;
  for (const [unit, size] of UNITS.slice(2)) {
    if (left >= size && parts.length < 2) {
      parts.push(`${Math.floor(left / size)}${unit}`);
      left %= size;
    } else if (parts.length > 0) {
      break;
    }
  }
  return parts.join(" ");
}
