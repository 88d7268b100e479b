/** A word that says how something is, in the colour of it. */

import type { ComponentChildren } from "preact";

export type Tone = "good" | "bad" | "warn" | "quiet";

export function Badge({ tone, title, children }: { tone: Tone; title?: string; children: ComponentChildren }) {
  return (
    <span class={`badge ${tone}`} title={title}>
      {children}
    </span>
  );
}
