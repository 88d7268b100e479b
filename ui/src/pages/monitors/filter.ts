/** What may be wrong with monitors, and which of them a filter shows. */

import type { Monitor } from "../../api/types";

export const TROUBLES = ["not selected", "invalid", "without targets", "down"] as const;
export type Trouble = (typeof TROUBLES)[number];

/** How many targets of a monitor are in a state. */
export function targets({ targets: counts }: Monitor, state: "up" | "down" | "unknown" | "dropped"): number {
  return counts[state] ?? 0;
}

/** What is wrong with a monitor. PrometheusRules have no targets. */
export function troubles(monitor: Monitor): Trouble[] {
  const found: Trouble[] = [];
  if (monitor.state === "notSelected") found.push("not selected");
  if (monitor.state === "invalid") found.push("invalid");
  const n = targets(monitor, "up") + targets(monitor, "down") + targets(monitor, "unknown");
  if (monitor.state === "accepted" && monitor.kind !== "PrometheusRule" && n === 0) found.push("without targets");
  if (targets(monitor, "down") > 0) found.push("down");
  return found;
}

export function kindsOf(all: readonly Monitor[]): string[] {
  return [...new Set(all.map(({ kind }) => kind))].sort();
}

export function filteredMonitors(
  all: readonly Monitor[],
  { kind, trouble, text }: { kind: string; trouble: Trouble | ""; text: string },
): Monitor[] {
  const lower = text.toLowerCase();
  return all.filter((one) => {
    if (kind !== "" && one.kind !== kind) return false;
    if (trouble !== "" && !troubles(one).includes(trouble)) return false;
    return lower === "" || `${one.namespace}/${one.name}`.toLowerCase().includes(lower);
  });
}
