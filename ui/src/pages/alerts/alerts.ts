/** Alerting rules with their alerts, and which of them a filter shows. */

import type { AlertingRule, RuleGroup } from "../../api/types";

export const STATES = ["firing", "pending", "inactive"] as const;
export type AlertState = (typeof STATES)[number];

/** An alerting rule and where it stands. */
export interface AlertRule {
  rule: AlertingRule;
  group: RuleGroup;
  /** Among those of its group. */
  index: number;
}

/** The state of a rule; one that was not yet evaluated counts as inactive. */
export function stateOf({ rule }: AlertRule): AlertState {
  return STATES.find((state) => state === rule.state) ?? "inactive";
}

/** The alerting rules of groups: those that fire first, then the pending ones. */
export function alertRules(groups: readonly RuleGroup[]): AlertRule[] {
  const all = groups
    .flatMap((group) => group.rules.map((rule, index) => ({ rule, group, index })))
    .filter((one): one is AlertRule => one.rule.type === "alerting");
  // Sorting keeps the order of rules within a state.
  return all.sort((a, b) => STATES.indexOf(stateOf(a)) - STATES.indexOf(stateOf(b)));
}

/** Those in a state, or in any, with a text in the name, the query or the labels of the rule or of one of its alerts. */
export function filteredAlerts(all: readonly AlertRule[], state: AlertState | "", text: string): AlertRule[] {
  const lower = text.toLowerCase();
  const has = (one: string) => one.toLowerCase().includes(lower);
  const hasLabels = (labels: Readonly<Record<string, string>>) =>
    Object.entries(labels).some(([name, value]) => has(`${name}=${value}`));
  return all.filter((one) => {
    if (state !== "" && stateOf(one) !== state) return false;
    const { name, query, labels, alerts } = one.rule;
    return (
      lower === "" || has(name) || has(query) || hasLabels(labels) || (alerts ?? []).some((alert) => hasLabels(alert.labels))
    );
  });
}
