/** Histograms over time as cells: how many observations fell between two values at a step. */

import type { Range } from "../../api/queries";
import type { RangeSeries } from "../../api/types";
import { parseValue } from "../../lib/numbers";
import { timesOf } from "./graphData";

export interface Cell {
  /** The step. */
  x: number;
  low: number;
  high: number;
  count: number;
}

export interface Heatmap {
  times: number[];
  cells: Cell[];
  /** The ends of all buckets that are finite. */
  bounds: { low: number; high: number };
  most: number;
}

/** Of native histograms, and of classic ones by their label `le`; null where there is neither. Histograms of several series add up. */
export function heatmap(series: readonly RangeSeries[], range: Range): Heatmap | null {
  const times = timesOf(range);
  const at = (seconds: number) => Math.round((seconds * 1000 - range.startMs) / range.stepMs);
  const sums = new Map<string, Cell>();
  const add = (x: number, low: number, high: number, count: number) => {
    if (count <= 0) return;
    const key = `${x} ${low} ${high}`;
    const cell = sums.get(key);
    if (cell) cell.count += count;
    else sums.set(key, { x, low, high, count });
  };
  for (const { histograms = [] } of series) {
    for (const [time, { buckets = [] }] of histograms) {
      for (const [, low, high, count] of buckets) add(at(time), parseValue(low), parseValue(high), parseValue(count));
    }
  }
  for (const [x, low, high, count] of classic(series, at)) add(x, low, high, count);
  const cells = [...sums.values()];
  if (cells.length === 0) return null;
  const ends = cells.flatMap(({ low, high }) => [low, high]).filter(Number.isFinite);
  const bounds = { low: Math.min(...ends), high: Math.max(...ends) };
  return { times, cells, bounds, most: Math.max(...cells.map(({ count }) => count)) };
}

/** The buckets of classic histograms count everything below their end: their differences. */
function* classic(series: readonly RangeSeries[], at: (seconds: number) => number): Generator<[number, number, number, number]> {
  const sums = new Map<number, Map<number, number>>();
  for (const { metric, values = [] } of series) {
    const le = metric["le"];
    if (le === undefined) continue;
    for (const [time, text] of values) {
      const step = sums.get(at(time)) ?? new Map<number, number>();
      sums.set(at(time), step);
      step.set(parseValue(le), (step.get(parseValue(le)) ?? 0) + parseValue(text));
    }
  }
  for (const [x, step] of sums) {
    let low = 0;
    let below = 0;
    for (const [high, count] of [...step].sort(([a], [b]) => a - b)) {
      if (high <= 0) low = -Infinity;
      yield [x, low, high, count - below];
      low = high;
      below = count;
    }
  }
}
