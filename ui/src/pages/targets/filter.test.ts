import { expect, it } from "vitest";

import type { ActiveTarget } from "../../api/types";
import { filtered, healthOf, poolsOf } from "./filter";

const target = (scrapePool: string, health: ActiveTarget["health"], more: Partial<ActiveTarget> = {}): ActiveTarget => ({
  discoveredLabels: {},
  labels: { job: scrapePool },
  scrapePool,
  scrapeUrl: `http://${scrapePool}/metrics`,
  globalUrl: "",
  lastError: "",
  lastScrape: "",
  lastScrapeDuration: 0,
  health,
  scrapeInterval: "15s",
  scrapeTimeout: "10s",
  ...more,
});

const TARGETS = [
  target("b", "up"),
  target("a", "down", { lastError: "connection refused" }),
  target("b", "down", { labels: { zone: "North" } }),
];

it("lists pools by name", () =>
  expect([...poolsOf(TARGETS)].map(([name, { length }]) => [name, length])).toEqual([
    ["a", 1],
    ["b", 2],
  ]));

it.each([
  [{}, 3],
  [{ pool: "b" }, 2],
  [{ health: "down" as const }, 2],
  [{ text: "refused" }, 1],
  [{ text: "http://b zone=" }, 1],
  [{ text: '"north"' }, 1],
  [{ pool: "b", health: "unknown" as const }, 0],
])("filters by %j", (filter, n) => expect(filtered(TARGETS, { pool: "", health: null, text: "", ...filter })).toHaveLength(n));

it("knows healths", () => expect([healthOf("UP"), healthOf("x"), healthOf("")]).toEqual(["up", null, null]));
