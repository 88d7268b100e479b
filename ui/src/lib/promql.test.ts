import { expect, it } from "vitest";

import { selectors } from "./promql";

function shown(expr: string) {
  return selectors(expr).map(({ metric, matchers }) => [
    metric.text,
    ...matchers.map(({ name, op, value }) => `${name.text} ${op} ${value.text}`),
  ]);
}

it.each([
  ["up", [["up"]]],
  ['sum by (job) (rate(a{b="c", d=~"e.*"}[5m])) / b', [["a", "b = c", "d =~ e.*"], ["b"]]],
  ['{"my.metric", "a.b"!="c\\"d"}', [["my.metric", 'a.b != c"d']]],
  ["{job='x'}", [["", "job = x"]]],
  ["1 + 2", []],
])("finds the selectors of %s", (expr, expected) => expect(shown(expr)).toEqual(expected));

it("knows where they are", () => {
  const expr = 'rate(a{b="c"}[5m])';
  const [selector] = selectors(expr);
  const [matcher] = selector?.matchers ?? [];
  expect(expr.slice(selector?.metric.from, selector?.metric.to)).toBe("a");
  expect(expr.slice(matcher?.value.from, matcher?.value.to)).toBe('"c"');
});
