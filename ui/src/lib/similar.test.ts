import { expect, it } from "vitest";

import { distance, nearest } from "./similar";

it.each([
  ["abc", "abc", 0],
  ["abc", "abd", 1],
  ["abc", "acb", 1],
  ["abc", "abcd", 1],
  ["kitten", "sitting", 3],
  ["a", "zzzzzz", 5],
])("%s is %s by %d", (a, b, far) => expect(distance(a, b, 4)).toBe(far));

it("finds what was meant, the nearest first", () => {
  const names = ["http_requests_total", "http_request_total", "node_cpu_seconds_total", "up"];
  expect(nearest("http_reqests_total", names)).toEqual(["http_requests_total", "http_request_total"]);
  expect(nearest("node_cpu", names)).toEqual(["node_cpu_seconds_total"]);
  expect(nearest("upp", names)).toEqual(["up"]);
  expect(nearest("something_else", names)).toEqual([]);
});
