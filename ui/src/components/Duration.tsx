/** How long something took, and how long ago something was. */

import { signal } from "@preact/signals";

import { humanDuration } from "../lib/duration";
import { formatTime, zone } from "../lib/time";

export function Duration({ ms }: { ms: number }) {
  return <span class="number">{humanDuration(ms)}</span>;
}

/** Now, once a second. */
const now = signal(Date.now());
setInterval(() => document.visibilityState === "visible" && (now.value = Date.now()), 1000);

/** `12 s ago`, with the time itself as its title. Times of Go's year 1 mean never. */
export function Ago({ at }: { at: string }) {
  const ms = Date.parse(at);
  if (Number.isNaN(ms) || ms < 0) return <span class="number quiet">never</span>;
  const ago = Math.max(0, Math.round((now.value - ms) / 1000) * 1000);
  return (
    <time class="number" dateTime={at} title={formatTime(ms, zone.value, true)}>
      {ago < 1000 ? "now" : `${humanDuration(ago)} ago`}
    </time>
  );
}
