/** Histograms over time: the more observations between two values, the stronger the colour. */

import { useMemo, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";

import { formatCount, formatShort } from "../../lib/numbers";
import { isDark } from "../../lib/theme";
import { formatTime, zone } from "../../lib/time";
import { chartOptions, tipPlace } from "./chart";
import { Chart } from "./Chart";
import type { Cell, Heatmap } from "./heatmapData";

interface Props {
  data: Heatmap;
  isLog: boolean;
  onZoom: (from: number, to: number) => void;
}

export function HeatmapGraph({ data, isLog, onZoom }: Props) {
  const [hover, setHover] = useState<{ cell: Cell; left: number; top: number } | null>(null);
  const zoom = useRef(onZoom);
  zoom.current = onZoom;
  const where = zone.value;
  // Buckets that reach to infinity are drawn as far as the axis goes.
  const canBeLog = isLog && data.cells.every(({ low }) => low >= 0);
  const lowest = useMemo(
    () => Math.min(...data.cells.map(({ low, high }) => (low > 0 ? low : high)).filter((v) => v > 0)),
    [data],
  );
  const options = useMemo(
    () => (width: number) => {
      const { hooks, ...rest } = chartOptions({
        width,
        zone: where,
        isLog: canBeLog,
        onZoom: (from, to) => zoom.current(from, to),
      });
      const least = canBeLog ? lowest / 2 : data.bounds.low;
      return {
        ...rest,
        scales: { ...rest.scales, y: { ...rest.scales?.["y"], range: [least, data.bounds.high] as uPlot.Range.MinMax } },
        series: [{}, { paths: () => null, points: { show: false } }],
        hooks: {
          ...hooks,
          draw: [(self: uPlot) => draw(self, data, isDark.peek())],
          setCursor: [(self: uPlot) => setHover(under(self, data))],
        },
      } satisfies uPlot.Options;
    },
    [data, canBeLog, where, isDark.value],
  );
  const aligned = useMemo(() => [data.times, data.times.map(() => null)] as uPlot.AlignedData, [data]);
  return (
    <div class="graph-place" onPointerLeave={() => setHover(null)}>
      <Chart label="Heat map of a histogram" data={aligned} options={options} />
      {hover && (
        <div class="graph-tip" style={{ left: hover.left, top: hover.top }}>
          <div class="quiet">{formatTime((data.times[hover.cell.x] ?? 0) * 1000, where)}</div>
          <strong>{formatCount(hover.cell.count)}</strong> between {formatShort(hover.cell.low)} and{" "}
          {formatShort(hover.cell.high)}
        </div>
      )}
    </div>
  );
}

function draw(chart: uPlot, { cells, times, most }: Heatmap, isOnDark: boolean) {
  const { ctx, bbox } = chart;
  const width = times.length > 1 ? bbox.width / (times.length - 1) : bbox.width;
  const bottom = bbox.top + bbox.height;
  const place = (value: number) =>
    Number.isFinite(value) && (value > 0 || chart.scales["y"]?.distr !== 3)
      ? chart.valToPos(value, "y", true)
      : value > 0
        ? bbox.top
        : bottom;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const { x, low, high, count } of cells) {
    // By the root, so that rare observations are seen beside many.
    const share = Math.sqrt(count / most);
    ctx.fillStyle = isOnDark
      ? `hsl(${210 - 170 * share} 75% ${18 + 50 * share}%)`
      : `hsl(${210 - 170 * share} 75% ${92 - 45 * share}%)`;
    const [top, end] = [place(high), place(low)];
    // Centred on its step, from one whole pixel to another: cells have no seams.
    const centre = chart.valToPos(times[x] ?? 0, "x", true);
    const [left, right] = [Math.round(centre - width / 2), Math.round(centre + width / 2)];
    ctx.fillRect(left, Math.round(top), Math.max(1, right - left), Math.max(1, Math.round(end) - Math.round(top)));
  }
  ctx.restore();
}

function under(chart: uPlot, { cells }: Heatmap) {
  const { idx, left = -1, top = -1 } = chart.cursor;
  if (idx === null || idx === undefined || left < 0) return null;
  const value = chart.posToVal(top, "y");
  const cell = cells.find(({ x, low, high }) => x === idx && value >= low && value < high);
  return cell ? { cell, ...tipPlace(chart, left, top) } : null;
}
