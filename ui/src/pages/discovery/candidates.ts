/** What discovery found for each job, and which of it a filter shows. */

import type { ActiveTarget, DroppedTarget } from "../../api/types";
import { pairs, type Labels } from "../../lib/labels";

export interface Candidate {
  pool: string;
  discovered: Labels;
  /** The labels after relabelling; none where it was dropped. */
  labels?: Labels;
}

export interface Pool {
  name: string;
  active: number;
  /** All that were dropped; of very many only the first are listed. */
  dropped: number;
  candidates: Candidate[];
}

interface Found {
  activeTargets: readonly ActiveTarget[];
  droppedTargets: readonly DroppedTarget[];
  droppedTargetCounts: Readonly<Record<string, number>> | null;
}

/** The jobs by name, what they scrape before what they drop. */
export function poolsOf({ activeTargets, droppedTargets, droppedTargetCounts }: Found): Pool[] {
  const pools = new Map<string, Pool>();
  const of = (name: string) => {
    const known = pools.get(name) ?? { name, active: 0, dropped: 0, candidates: [] };
    pools.set(name, known);
    return known;
  };
  for (const { scrapePool, discoveredLabels, labels } of activeTargets) {
    const pool = of(scrapePool);
    pool.active += 1;
    pool.candidates.push({ pool: scrapePool, discovered: discoveredLabels, labels });
  }
  for (const { scrapePool, discoveredLabels } of droppedTargets) {
    const pool = of(scrapePool);
    pool.dropped += 1;
    pool.candidates.push({ pool: scrapePool, discovered: discoveredLabels });
  }
  for (const [name, count] of Object.entries(droppedTargetCounts ?? {})) of(name).dropped = Math.max(count, of(name).dropped);
  return [...pools.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Those in a state with a text in one of their labels. */
export function filteredCandidates(
  candidates: readonly Candidate[],
  state: "" | "active" | "dropped",
  text: string,
): Candidate[] {
  const lower = text.toLowerCase();
  const has = (labels: Labels) => pairs(labels).some(([name, value]) => `${name}=${value}`.toLowerCase().includes(lower));
  return candidates.filter(({ labels, discovered }) => {
    if (state !== "" && (labels === undefined) !== (state === "dropped")) return false;
    return lower === "" || has(discovered) || (labels !== undefined && has(labels));
  });
}
