import { expect, it } from "vitest";

import { decode, encode, newPanel, stepMs } from "./state";

const withoutIds = (search: string) => decode(search).map(({ id: _, ...panel }) => panel);

it("reads the links of Prometheus 3", () => {
  const [panel] = decode(
    "g0.expr=up&g0.show_tree=0&g0.tab=graph&g0.end_input=2026-01-31 12%3A00%3A00&g0.moment_input=2026-01-31 12%3A00%3A00&g0.range_input=2h&g0.res_type=fixed&g0.res_step=60&g0.display_mode=stacked&g0.y_axis_min=0&g0.show_exemplars=1",
  );
  expect(panel).toMatchObject({
    expr: "up",
    tab: "graph",
    endMs: Date.UTC(2026, 0, 31, 12),
    rangeMs: 7_200_000,
    resolution: { type: "fixed", stepMs: 60_000 },
    display: "stacked",
    yMin: 0,
    showExemplars: true,
  });
});

it("reads the links of Prometheus 2", () => {
  const panels = decode("g0.expr=up&g0.tab=0&g0.stacked=1&g0.range_input=1d&g0.step_input=30&g1.expr=a&g1.tab=1&g3.expr=lost");
  expect(panels.map(({ expr, tab, display }) => [expr, tab, display])).toEqual([
    ["up", "graph", "stacked"],
    ["a", "table", "lines"],
  ]);
  expect(panels[0]).toMatchObject({ rangeMs: 86_400_000, resolution: { type: "custom", stepMs: 30_000 } });
});

it("has a panel for no link, and for one of nonsense", () => {
  expect(decode("")).toHaveLength(1);
  expect(withoutIds("g0.expr=&g0.range_input=x&g0.res_type=auto&g0.res_density=x&g0.tab=9&g0.end_input=x")).toEqual(
    withoutIds(""),
  );
});

it("reads what it wrote", () => {
  const panels = [
    { ...newPanel("sum(up) > 0"), tab: "explain" as const, isLog: true },
    { ...newPanel('{a="ü&="}'), endMs: 1_700_000_000_000, resolution: { type: "custom" as const, stepMs: 500 }, yMin: -1.5 },
  ];
  const back = decode(encode(panels).toString());
  expect(back.map(({ id: _, ...panel }) => panel)).toEqual(panels.map(({ id: _, ...panel }) => panel));
});

it("asks for no more steps than the server answers", () => {
  expect(stepMs({ rangeMs: 3_600_000, resolution: { type: "auto", density: "medium" } })).toBe(14_400);
  const step = stepMs({ rangeMs: 30 * 86_400_000, resolution: { type: "fixed", stepMs: 1000 } });
  expect((30 * 86_400_000) / step + 1).toBeLessThanOrEqual(11_000);
});
