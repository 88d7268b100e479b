import { expect, test } from "vitest";

import type { AlertingRule, RuleGroup } from "../../api/types";
import { alertRules, filteredAlerts } from "./alerts";

const alert = (pod: string) => ({
  labels: { alertname: "x", pod },
  annotations: {},
  state: "firing" as const,
  activeAt: "",
  value: "1",
});
const rule = (name: string, state: AlertingRule["state"], pods: string[]): AlertingRule => ({
  type: "alerting",
  state,
  name,
  query: `${name} > 0`,
  duration: 0,
  keepFiringFor: 0,
  labels: { severity: "page" },
  annotations: {},
  alerts: pods.map(alert),
  health: "ok",
  evaluationTime: 0,
  lastEvaluation: "",
});
const GROUP: RuleGroup = {
  name: "g",
  file: "f",
  rules: [
    rule("idle", "inactive", []),
    rule("new", "unknown", []),
    rule("fires", "firing", ["p-1"]),
    rule("waits", "pending", []),
  ],
  interval: 15,
  limit: 0,
  evaluationTime: 0,
  lastEvaluation: "",
};

test("what fires comes first, and is found by the labels of its alerts", () => {
  const all = alertRules([GROUP]);
  const names = (state: Parameters<typeof filteredAlerts>[1], text: string) =>
    filteredAlerts(all, state, text).map((one) => one.rule.name);
  expect(names("", "")).toEqual(["fires", "waits", "idle", "new"]);
  expect(names("inactive", "")).toEqual(["idle", "new"]);
  expect(names("", "pod=p-1")).toEqual(["fires"]);
  expect(names("", "severity=page")).toHaveLength(4);
  expect(names("firing", "waits")).toEqual([]);
});
