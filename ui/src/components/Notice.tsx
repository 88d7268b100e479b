/** What people should know, where it belongs. */

import type { ComponentChildren } from "preact";

export type Kind = "error" | "warning" | "info";

const WORDS: Record<Kind, string> = { error: "Error", warning: "Warning", info: "Info" };

export function Notice({ kind, children }: { kind: Kind; children: ComponentChildren }) {
  return (
    <div class={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
      <span class="notice-kind">{WORDS[kind]}</span>
      <div class="notice-text">{children}</div>
    </div>
  );
}
