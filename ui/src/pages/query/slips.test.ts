import { describe, expect, it } from "vitest";

import { foreignCharacters, misspelt, missingRange, offset } from "./slips";

describe("characters of other keyboards", () => {
  it.each([
    ["up{job=“a”}", 'up{job="a"}'],
    ["sum（up）", "sum(up)"],
    ["up{job＝“a”，b=‘c’}", "up{job=\"a\",b='c'}"],
    ["a – b", "a - b"],
    ["a\u00a0+ b", "a + b"],
  ])("%s", (expr, fixed) => expect(foreignCharacters(expr)?.fixed).toBe(fixed));

  it.each(["up", 'up{job="“a”"}', "label_replace(up, 'x', '，', '', '')", 'up{a="\\"“"}'])("leaves %s alone", (expr) =>
    expect(foreignCharacters(expr)).toBeNull(),
  );
});

describe("a range that is missing", () => {
  const message = (place: string) =>
    `invalid parameter "query": ${place}: parse error: expected type range vector in call to function "rate", got instant vector`;
  it.each([
    ["rate(a)", "1:6", "rate(a[5m])"],
    ['sum(rate(a{b="}"}))', "1:10", 'sum(rate(a{b="}"}[5m]))'],
    ["sum(\n  rate(a))", "2:8", "sum(\n  rate(a[5m]))"],
  ])("%s", (expr, place, fixed) => expect(missingRange(expr, message(place))?.fixed).toBe(fixed));

  it("does not touch what is no selector", () => {
    expect(missingRange("rate(sum(a))", message("1:6"))).toBeNull();
    expect(missingRange("rate(a)", "1:6: parse error: something else")).toBeNull();
  });
});

it("places count bytes", () => {
  expect(offset("ab", 1, 2)).toBe(1);
  expect(offset('{a="ü"} x', 1, 9)).toBe(7);
  expect(offset("a\nb c", 2, 3)).toBe(4);
});

it("offers names that are like one", () => {
  const slips = misspelt('foo{code="20"}', { from: 9, to: 13, text: "20" }, ["200", "500"], "value");
  expect(slips.map(({ fixed }) => fixed)).toEqual(['foo{code="200"}']);
});
