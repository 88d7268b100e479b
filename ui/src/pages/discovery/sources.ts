/** Sources of targets in words, and which of them a filter shows. */

import type { DiscoverySource } from "../../api/types";

/** So many jobs of a source are named. */
const NAMED_MAX = 8;

/** Who is asked, and for what: `in-cluster, namespace web, app=a`. */
export function whereOf({ place, namespace, labelSelector, fieldSelector }: DiscoverySource): string {
  const parts = [place, namespace === undefined ? "" : `namespace ${namespace}`, labelSelector ?? "", fieldSelector ?? ""];
  return parts.filter((part) => part !== "").join(", ");
}

/** The jobs that use it; of very many only the first are named. */
export function usersOf({ usedBy }: DiscoverySource): string {
  const names = usedBy.map(({ consumer, config }) => (consumer === "scrape" ? config : `${consumer} ${config}`));
  const more = names.length - NAMED_MAX;
  return names.slice(0, NAMED_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** Those that a job uses, with a text in what they are. Without a job or a text, all. */
export function filteredSources(sources: readonly DiscoverySource[], job: string, text: string): DiscoverySource[] {
  const lower = text.toLowerCase();
  return sources.filter((source) => {
    const isOfJob = job === "" || source.usedBy.some(({ consumer, config }) => consumer === "scrape" && config === job);
    const words = [source.kind, source.field, whereOf(source), source.error ?? "", ...source.usedBy.map(({ config }) => config)];
    return isOfJob && (lower === "" || words.some((word) => word.toLowerCase().includes(lower)));
  });
}
