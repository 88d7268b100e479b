import { expect, test } from "vitest";

import { exemplarAt } from "./exemplars";

const exemplar = (timestamp: number, value: string) => ({ timestamp, value, labels: { trace_id: value } });
const ALL = [
  { seriesLabels: { a: "1" }, exemplars: [exemplar(10, "20"), exemplar(14, "20")] },
  { seriesLabels: { a: "2" }, exemplars: [exemplar(100, "+Inf")] },
];
/** A pixel for each second and for each unit. */
const CHART = { valToPos: (value: number) => value };

test("the exemplar under the pointer is the nearest of those that touch it", () => {
  const at = (left: number, top: number) => exemplarAt(CHART, ALL, left, top)?.exemplar.timestamp;
  expect([at(10, 20), at(11, 21), at(13, 20), at(14, 27)]).toEqual([10, 10, 14, 14]);
  expect([at(30, 20), at(10, 40), at(100, 20)]).toEqual([undefined, undefined, undefined]);
  expect(exemplarAt(CHART, ALL, 10, 20)?.series).toEqual({ a: "1" });
});
