/** Times of the page: milliseconds since 1970, shown in UTC or in the browser's zone. */

import { persisted } from "./storage";

export type Zone = "local" | "utc";

/** The zone that people chose. */
export const zone = persisted<Zone>("zone", "local", (value) => value === "local" || value === "utc");

const pad = (n: number, width = 2) => String(n).padStart(width, "0");

/** `2026-01-31 12:00:00`, in a zone. */
export function formatTime(ms: number, where: Zone, withMs = false): string {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return "–";
  const parts =
    where === "utc"
      ? [
          date.getUTCFullYear(),
          date.getUTCMonth(),
          date.getUTCDate(),
          date.getUTCHours(),
          date.getUTCMinutes(),
          date.getUTCSeconds(),
        ]
      : [date.getFullYear(), date.getMonth(), date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds()];
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  const text = `${pad(year, 4)}-${pad(month + 1)}-${pad(day)} ${pad(hour)}:${pad(minute)}:${pad(second)}`;
  return withMs ? `${text}.${pad(date.getUTCMilliseconds(), 3)}` : text;
}

/** Reads what `formatTime` writes, also cut short at the end, and RFC 3339; null if it is no time. */
export function parseTime(text: string, where: Zone): number | null {
  const trimmed = text.trim();
  const parts = /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?$/.exec(trimmed);
  if (parts) {
    const [year, month, day, hour, minute, second] = parts.slice(1).map((part) => Number(part ?? 0));
    const fields = [year ?? 0, (month ?? 1) - 1, day ?? 1, hour ?? 0, minute ?? 0, second ?? 0] as const;
    return where === "utc" ? Date.UTC(...fields) : new Date(...fields).getTime();
  }
  if (!/^\d{4}-.*[zZ]$|^\d{4}-.*[+-]\d\d:?\d\d$/.test(trimmed)) return null;
  const ms = Date.parse(trimmed);
  return Number.isNaN(ms) ? null : ms;
}
