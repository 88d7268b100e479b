import { expect, test } from "vitest";

import type { Monitor } from "../../api/types";
import { filteredMonitors, kindsOf, troubles } from "./filter";

const monitor = (name: string, state: Monitor["state"], targets: Record<string, number> = {}, kind = "PodMonitor"): Monitor => ({
  kind,
  namespace: "web",
  name,
  state,
  jobs: [],
  targets,
});
const ALL = [
  monitor("good", "accepted", { up: 3 }),
  monitor("half", "accepted", { up: 1, down: 2 }),
  monitor("empty", "accepted", { dropped: 7 }),
  monitor("other", "notSelected"),
  monitor("bad", "invalid", {}, "ServiceMonitor"),
  monitor("rules", "accepted", {}, "PrometheusRule"),
];

test("each trouble is found where it is", () => {
  expect(ALL.map(troubles)).toEqual([[], ["down"], ["without targets"], ["not selected"], ["invalid"], []]);
});

test("filters hold together", () => {
  const names = (filter: Partial<Parameters<typeof filteredMonitors>[1]>) =>
    filteredMonitors(ALL, { kind: "", trouble: "", text: "", ...filter }).map(({ name }) => name);
  expect(names({})).toHaveLength(6);
  expect(names({ kind: "ServiceMonitor" })).toEqual(["bad"]);
  expect(names({ trouble: "down" })).toEqual(["half"]);
  expect(names({ text: "WEB/o" })).toEqual(["other"]);
  expect(names({ text: "o", trouble: "down" })).toEqual([]);
  expect(kindsOf(ALL)).toEqual(["PodMonitor", "PrometheusRule", "ServiceMonitor"]);
});
