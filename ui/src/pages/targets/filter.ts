/** Which targets are shown. */

import type { ActiveTarget } from "../../api/types";
import { formatSeries } from "../../lib/labels";

export type Health = ActiveTarget["health"];

/** Those that need people first. */
export const HEALTHS: readonly Health[] = ["down", "unknown", "up"];

export interface Filter {
  /** Empty for all. */
  pool: string;
  health: Health | null;
  /** Words of which each is in the endpoint, the labels or the error. */
  text: string;
}

export function healthOf(text: string): Health | null {
  return HEALTHS.find((health) => health === text.toLowerCase()) ?? null;
}

/** The targets by their pools, by name. */
export function poolsOf(targets: readonly ActiveTarget[]): Map<string, ActiveTarget[]> {
  const pools = new Map<string, ActiveTarget[]>();
  for (const target of targets) {
    const members = pools.get(target.scrapePool);
    if (members) members.push(target);
    else pools.set(target.scrapePool, [target]);
  }
  return new Map([...pools].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The text that is searched; labels as they are shown. Made once for each target. */
const texts = new WeakMap<ActiveTarget, string>();

function textOf(target: ActiveTarget): string {
  let text = texts.get(target);
  if (text === undefined) {
    text = `${target.scrapeUrl} ${formatSeries(target.labels)} ${target.lastError}`.toLowerCase();
    texts.set(target, text);
  }
  return text;
}

export function filtered(targets: readonly ActiveTarget[], { pool, health, text }: Filter): ActiveTarget[] {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  return targets.filter(
    (target) =>
      (pool === "" || target.scrapePool === pool) &&
      (health === null || target.health === health) &&
      words.every((word) => textOf(target).includes(word)),
  );
}
