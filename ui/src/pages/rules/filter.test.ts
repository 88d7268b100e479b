import { expect, test } from "vitest";

import type { RuleGroup } from "../../api/types";
import { filteredGroups, shortFile } from "./filter";

const rule = (name: string, health: "ok" | "err") => ({
  type: "recording" as const,
  name,
  query: `sum(${name}_total)`,
  labels: { team: "a" },
  health,
  evaluationTime: 0,
  lastEvaluation: "",
});
const GROUPS: RuleGroup[] = [
  {
    name: "api",
    file: "/etc/api.yml",
    rules: [rule("x", "ok"), rule("y", "err")],
    interval: 15,
    limit: 0,
    evaluationTime: 0,
    lastEvaluation: "",
  },
  { name: "db", file: "/etc/db.yml", rules: [rule("z", "ok")], interval: 15, limit: 0, evaluationTime: 0, lastEvaluation: "" },
];

test("rules are found by what they are, groups by their names", () => {
  const names = (text: string, isFailing = false) =>
    filteredGroups(GROUPS, { text, isFailing }).flatMap(({ rules }) => rules.map(({ name }) => name));
  expect(names("")).toEqual(["x", "y", "z"]);
  expect(names("", true)).toEqual(["y"]);
  expect(names("DB.yml")).toEqual(["z"]);
  expect(names("x_total")).toEqual(["x"]);
  expect(names("team=a")).toEqual(["x", "y", "z"]);
  expect(names("none")).toEqual([]);
});

test("a file is shown by its name", () => {
  expect(shortFile("/etc/rules/api.yml")).toBe("api.yml");
  expect(shortFile("api.yml")).toBe("api.yml");
});
