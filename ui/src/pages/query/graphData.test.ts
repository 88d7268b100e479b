import { expect, it } from "vitest";

import { graphData, stacked } from "./graphData";
import { heatmap } from "./heatmapData";
import { ALL, clicked, isShown } from "./Legend";

const RANGE = { startMs: 1000, endMs: 5000, stepMs: 1000 };

it("puts values on the grid and leaves gaps", () => {
  const { times, lines } = graphData(
    [
      {
        metric: { a: "1" },
        values: [
          [1, "2"],
          [3, "4"],
          [4, "NaN"],
          [5, "+Inf"],
        ],
      },
      { metric: { a: "2" }, histograms: [[1, { count: "1", sum: "1" }]] },
    ],
    RANGE,
  );
  expect(times).toEqual([1, 2, 3, 4, 5]);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ values: [2, null, 4, null, null], min: 2, max: 4, last: Infinity, text: '{a="1"}' });
});

it("stacks lines; a gap adds nothing", () => {
  expect(
    stacked([
      [1, 2, null],
      [10, null, 30],
      [100, 200, 300],
    ]),
  ).toEqual([
    [1, 2, null],
    [11, 2, 30],
    [111, 202, 330],
  ]);
});

it("makes cells of classic buckets by their differences", () => {
  const of = (le: string, value: string) => ({ metric: { le }, values: [[1, value] as [number, string]] });
  const found = heatmap([of("1", "3"), of("0.5", "2"), of("+Inf", "4")], RANGE);
  expect(found?.cells).toEqual([
    { x: 0, low: 0, high: 0.5, count: 2 },
    { x: 0, low: 0.5, high: 1, count: 1 },
    { x: 0, low: 1, high: Infinity, count: 1 },
  ]);
  expect(found?.bounds).toEqual({ low: 0, high: 1 });
});

it("adds up native histograms of several series", () => {
  const one = {
    metric: {},
    histograms: [[2, { count: "3", sum: "1", buckets: [[0, "1", "2", "3"]] }]] as [
      number,
      { count: string; sum: string; buckets: [number, string, string, string][] },
    ][],
  };
  expect(heatmap([one, one], RANGE)?.cells).toEqual([{ x: 1, low: 1, high: 2, count: 6 }]);
  expect(heatmap([], RANGE)).toBeNull();
});

it("shows one line alone by a click, and all by another", () => {
  const { lines } = graphData(
    ["a", "b", "c"].map((a) => ({ metric: { a }, values: [] })),
    RANGE,
  );
  const shown = (selection: typeof ALL) => lines.map((_, i) => isShown(selection, lines, i));
  const alone = clicked(ALL, lines, 1, false);
  expect(shown(alone)).toEqual([false, true, false]);
  expect(shown(clicked(alone, lines, 1, false))).toEqual([true, true, true]);
  expect(shown(clicked(alone, lines, 2, true))).toEqual([false, true, true]);
  expect(shown({ ...ALL, filter: 'A="C' })).toEqual([false, false, true]);
});
