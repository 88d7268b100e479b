import { expect, it } from "vitest";

import { Heights } from "./heights";

it("knows where rows are, measured or not", () => {
  const heights = new Heights(100_000, 20);
  expect(heights.total).toBe(2_000_000);
  expect(heights.at(41)).toBe(2);
  expect(heights.set(1, 50)).toBe(true);
  expect(heights.set(1, 50)).toBe(false);
  expect(heights.top(2)).toBe(70);
  expect(heights.at(69)).toBe(1);
  expect(heights.at(70)).toBe(2);
  expect(heights.total).toBe(2_000_030);
  expect(heights.at(1e9)).toBe(99_999);
});

it("may be empty", () => {
  const heights = new Heights(0, 20);
  expect([heights.total, heights.at(5)]).toEqual([0, 0]);
});
