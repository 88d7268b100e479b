/** Lines over time, one beside or one upon another, with what is under the pointer. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";

import type { ExemplarsOfSeries } from "../../api/types";
import { LabelSet, SeriesName } from "../../components/LabelSet";
import { isDark } from "../../lib/theme";
import { formatTime, zone } from "../../lib/time";
import { chartOptions, tipPlace } from "./chart";
import { Chart } from "./Chart";
import { drawExemplars, exemplarAt, type Met } from "./exemplars";
import { stacked, type Column, type GraphData, type Line } from "./graphData";

interface Props {
  data: GraphData;
  /** Which lines are drawn. */
  isShown: (index: number) => boolean;
  isStacked: boolean;
  isLog: boolean;
  yMin: number | null;
  exemplars: readonly ExemplarsOfSeries[];
  onZoom: (from: number, to: number) => void;
}

/** What is under the pointer: an exemplar, else the next line. */
interface Hover {
  at: { line: number; step: number } | Met;
  left: number;
  top: number;
}

/** More lines than this have no dots where they have a point alone: there are too many to look for. */
const DOTS_MAX = 500;

export function LineGraph({ data, isShown, isStacked, isLog, yMin, exemplars, onZoom }: Props) {
  const [hover, setHover] = useState<Hover | null>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef({ onZoom, exemplars });
  latest.current = { onZoom, exemplars };
  const where = zone.value;

  const columns = useMemo(() => drawn(data, isShown, isStacked, isLog), [data, isShown, isStacked, isLog]);
  const options = useMemo(
    () => (width: number) => {
      const basics = chartOptions({ width, zone: where, isLog, onZoom: (from, to) => latest.current.onZoom(from, to) });
      const { hooks, ...rest } = basics;
      return {
        ...rest,
        scales: {
          ...rest.scales,
          y: {
            ...rest.scales?.["y"],
            ...(yMin === null ? {} : { range: (_self: uPlot, _min: number, max: number) => [yMin, max] as uPlot.Range.MinMax }),
          },
        },
        series: [
          {},
          ...data.lines.map((line): uPlot.Series => ({
            stroke: line.color,
            width: isStacked ? 1 : 1.5,
            ...(isStacked ? { fill: line.color.replace(")", " / 0.25)") } : {}),
            ...(data.lines.length > DOTS_MAX ? { points: { show: false } } : {}),
          })),
        ],
        ...(isStacked ? { bands: data.lines.slice(1).map((_, i): uPlot.Band => ({ series: [i + 2, i + 1] })) } : {}),
        hooks: {
          ...hooks,
          draw: [(self: uPlot) => drawExemplars(self, latest.current.exemplars)],
          setCursor: [(self: uPlot) => setHover(under(self, data.lines, latest.current.exemplars))],
        },
      } satisfies uPlot.Options;
    },
    // Colours of axes are read when a drawing is made.
    [data, isStacked, isLog, yMin, where, isDark.value],
  );
  const aligned = useMemo(() => [data.times, ...columns] as uPlot.AlignedData, [data, columns]);
  useEffect(() => chart.current?.redraw(), [exemplars]);

  return (
    <div class="graph-place" onPointerLeave={() => setHover(null)}>
      <Chart
        label={`Graph of ${data.lines.length} series; the list below has their names and values`}
        data={aligned}
        options={options}
        onMade={(made) => (chart.current = made)}
      />
      {hover && (
        <div class="graph-tip" style={{ left: hover.left, top: hover.top }}>
          {"exemplar" in hover.at ? <ExemplarTip {...hover.at} /> : <LineTip data={data} {...hover.at} />}
        </div>
      )}
    </div>
  );
}

function LineTip({ data, line: index, step }: { data: GraphData; line: number; step: number }) {
  const line = data.lines[index];
  if (!line) return null;
  return (
    <>
      <div class="quiet">{formatTime((data.times[step] ?? 0) * 1000, zone.value, true)}</div>
      <div>
        <span class="swatch" style={{ background: line.color }} /> <strong>{line.values[step]}</strong>
      </div>
      <SeriesName labels={line.labels} />
    </>
  );
}

function ExemplarTip({ exemplar, series }: Met) {
  return (
    <>
      <div class="quiet">{formatTime(exemplar.timestamp * 1000, zone.value, true)}</div>
      <div>
        Exemplar <strong>{exemplar.value}</strong>
      </div>
      <LabelSet labels={exemplar.labels} />
      <div class="quiet">of</div>
      <SeriesName labels={series} />
    </>
  );
}

/** The columns of values as they are drawn: those of hidden lines are empty. */
function drawn({ times, lines }: GraphData, isShown: (index: number) => boolean, isStacked: boolean, isLog: boolean): Column[] {
  const none: Column = new Array<number | null>(times.length).fill(null);
  // What is not positive has no logarithm.
  const positive = (column: Column) => column.map((value) => (value !== null && value > 0 ? value : null));
  const columns = lines.map(({ values }, i) => (isShown(i) ? (isLog ? positive(values) : values) : none));
  return isStacked ? stacked(columns) : columns;
}

/** The exemplar under the pointer, else the line next to it. */
function under(chart: uPlot, lines: readonly Line[], exemplars: readonly ExemplarsOfSeries[]): Hover | null {
  const { idx, left = -1, top = -1 } = chart.cursor;
  if (left < 0) return null;
  const met = exemplarAt(chart, exemplars, left, top);
  if (met) return { at: met, ...tipPlace(chart, left, top) };
  if (idx === null || idx === undefined) return null;
  let best: { line: number; far: number } | null = null;
  for (let i = 1; i < chart.data.length; i++) {
    const value = chart.data[i]?.[idx];
    // Stacked, a line without a value lies upon the one below it.
    if (value === null || value === undefined || lines[i - 1]?.values[idx] === null) continue;
    const far = Math.abs(chart.valToPos(value, "y") - top);
    if (!best || far < best.far) best = { line: i - 1, far };
  }
  if (!best) return null;
  return { at: { line: best.line, step: idx }, ...tipPlace(chart, left, top) };
}
