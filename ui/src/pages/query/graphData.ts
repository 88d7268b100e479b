/** Answers of range queries as columns on one grid of times, which is what is drawn. */

import type { Range } from "../../api/queries";
import type { RangeSeries } from "../../api/types";
import { formatSeries, type Labels } from "../../lib/labels";
import { parseValue } from "../../lib/numbers";

export type Column = (number | null)[];

export interface Line {
  labels: Labels;
  /** The same as text, to search in. */
  text: string;
  color: string;
  values: Column;
  min: number;
  max: number;
  last: number;
}

export interface GraphData {
  /** Seconds since 1970. */
  times: number[];
  lines: Line[];
}

/** Colours that can be told apart on light and dark; further lines get them again, a little darker or lighter. */
const HUES = [211, 28, 145, 0, 262, 330, 186, 48, 232, 95, 14, 300] as const;

export function colorOf(index: number): string {
  const hue = HUES[index % HUES.length] ?? 0;
  const round = Math.floor(index / HUES.length) % 4;
  return `hsl(${hue} ${68 - round * 8}% ${52 + (round % 2 === 0 ? -1 : 1) * round * 4}%)`;
}

/** The times of a range's steps, seconds. */
export function timesOf({ startMs, endMs, stepMs }: Range): number[] {
  const times: number[] = [];
  for (let i = 0; startMs + i * stepMs <= endMs; i++) times.push((startMs + i * stepMs) / 1000);
  return times;
}

export function graphData(series: readonly RangeSeries[], range: Range): GraphData {
  const times = timesOf(range);
  const lines = series
    .filter(({ values }) => values !== undefined)
    .map(({ metric, values = [] }, index): Line => {
      const column: Column = new Array<number | null>(times.length).fill(null);
      let min = Infinity;
      let max = -Infinity;
      let last = NaN;
      for (const [at, text] of values) {
        const i = Math.round((at * 1000 - range.startMs) / range.stepMs);
        const value = parseValue(text);
        last = value;
        // Infinite and undefined values have no place on an axis.
        if (!Number.isFinite(value)) continue;
        column[i] = value;
        if (value < min) min = value;
        if (value > max) max = value;
      }
      return { labels: metric, text: formatSeries(metric), color: colorOf(index), values: column, min, max, last };
    });
  return { times, lines };
}

/** The lines one on the other: each with the sum of those before it. Where one has no value it adds nothing. */
export function stacked(columns: readonly Column[]): Column[] {
  const sums: number[] = [];
  return columns.map((column) =>
    column.map((value, i) => {
      if (value !== null) sums[i] = (sums[i] ?? 0) + value;
      return sums[i] ?? null;
    }),
  );
}
