import { expect, test } from "vitest";

import type { DiscoverySource } from "../../api/types";
import { filteredSources, usersOf, whereOf } from "./sources";

const source = (kind: string, jobs: readonly string[], more: Partial<DiscoverySource> = {}): DiscoverySource => ({
  field: "kubernetes_sd_configs",
  kind,
  usedBy: jobs.map((config) => ({ consumer: "scrape", config })),
  place: "in-cluster",
  up: true,
  consecutiveFailures: 0,
  objects: 0,
  refused: [],
  ...more,
});

test("a source says who is asked, and for what", () => {
  expect(whereOf(source("pods", []))).toBe("in-cluster");
  expect(whereOf(source("pods", [], { namespace: "web", labelSelector: "app=a" }))).toBe("in-cluster, namespace web, app=a");
  expect(whereOf(source("hetzner", [], { place: "" }))).toBe("");
});

test("of many jobs some are named", () => {
  expect(usersOf(source("pods", ["a", "b"]))).toBe("a, b");
  const many = Array.from({ length: 10 }, (_, i) => `j${i}`);
  expect(usersOf(source("pods", many))).toMatch(/^j0, .*j7 and 2 more$/);
  const notify = { usedBy: [{ consumer: "notify", config: "config-0" }] };
  expect(usersOf(source("dns", [], notify))).toBe("notify config-0");
});

test("sources are found by job and by any word", () => {
  const all = [source("pods", ["a"]), source("nodes", ["a", "b"], { error: "Forbidden" })];
  const count = (job: string, text: string) => filteredSources(all, job, text).length;
  expect([count("", ""), count("b", ""), count("", "POD"), count("", "forbidden"), count("a", "node"), count("c", "")]).toEqual([
    2, 1, 1, 1, 1, 0,
  ]);
});
