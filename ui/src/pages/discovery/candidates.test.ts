import { expect, test } from "vitest";

import type { ActiveTarget } from "../../api/types";
import { filteredCandidates, poolsOf } from "./candidates";

const active = (scrapePool: string, address: string): ActiveTarget => ({
  scrapePool,
  discoveredLabels: { __address__: address },
  labels: { instance: address },
  scrapeUrl: "",
  globalUrl: "",
  lastError: "",
  lastScrape: "",
  lastScrapeDuration: 0,
  health: "up",
  scrapeInterval: "",
  scrapeTimeout: "",
});
const FOUND = {
  activeTargets: [active("b", "1:9100"), active("a", "2:9100")],
  droppedTargets: [{ scrapePool: "a", discoveredLabels: { __address__: "3:9100", __meta_kubernetes_pod_name: "web-1" } }],
  droppedTargetCounts: { a: 40, c: 5 },
};

test("what was found is told by job, with all that was dropped counted", () => {
  const pools = poolsOf(FOUND);
  expect(pools.map(({ name, active: n, dropped }) => [name, n, dropped])).toEqual([
    ["a", 1, 40],
    ["b", 1, 0],
    ["c", 0, 5],
  ]);
  expect(pools[0]?.candidates.map(({ labels }) => labels !== undefined)).toEqual([true, false]);
});

test("candidates are found by any label", () => {
  const [a] = poolsOf(FOUND);
  const count = (state: "" | "active" | "dropped", text: string) => filteredCandidates(a?.candidates ?? [], state, text).length;
  expect([count("", ""), count("active", ""), count("dropped", ""), count("", "POD_NAME=web"), count("active", "web")]).toEqual([
    2, 1, 1, 1, 0,
  ]);
});
