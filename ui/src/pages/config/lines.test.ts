import { expect, test } from "vitest";

import { parts, shownLines } from "./lines";

const YAML = [
  "global:",
  "  scrape_interval: 15s",
  "scrape_configs:",
  "- job_name: a",
  "  relabel_configs:",
  "  - action: Drop",
  "- job_name: b",
];

test("a line is found with the sections that it stands in", () => {
  const numbers = (search: string) => shownLines(YAML, search).map(({ number }) => number);
  expect(numbers("")).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(numbers("drop")).toEqual([3, 5, 6]);
  expect(numbers("interval")).toEqual([1, 2]);
  expect(numbers("job_name")).toEqual([3, 4, 7]);
  expect(shownLines(YAML, "drop").map(({ isHit }) => isHit)).toEqual([false, false, true]);
  expect(numbers("none")).toEqual([]);
});

test("what is found is a part of its line", () => {
  expect(parts("a: Drop, drop", "drop")).toEqual([
    ["a: ", false],
    ["Drop", true],
    [", ", false],
    ["drop", true],
  ]);
  expect(parts("a", "")).toEqual([["a", false]]);
  expect(parts("İ drop", "drop")).toEqual([["İ drop", false]]);
});
