/** Which rules a filter shows. */

import type { Rule, RuleGroup } from "../../api/types";

export interface RuleFilter {
  /** Of names, queries, labels and files. */
  text: string;
  /** Only those with an error. */
  isFailing: boolean;
}

/** The groups that have such rules, each with these alone. */
export function filteredGroups(groups: readonly RuleGroup[], { text, isFailing }: RuleFilter): RuleGroup[] {
  const lower = text.toLowerCase();
  const has = (one: string) => one.toLowerCase().includes(lower);
  const isShown = (group: RuleGroup) => (rule: Rule) =>
    (!isFailing || rule.health === "err") &&
    (lower === "" ||
      has(group.name) ||
      has(group.file) ||
      has(rule.name) ||
      has(rule.query) ||
      Object.entries(rule.labels).some(([name, value]) => has(`${name}=${value}`)));
  return groups.map((group) => ({ ...group, rules: group.rules.filter(isShown(group)) })).filter(({ rules }) => rules.length > 0);
}

/** The last part of a file's path, or the object that stands in its place. */
export function shortFile(file: string): string {
  return file.slice(file.lastIndexOf("/") + 1);
}
