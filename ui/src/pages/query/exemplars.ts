/** Exemplars on a graph: a diamond at the time and value of each, and which one is under the pointer. */

import type uPlot from "uplot";

import type { Exemplar, ExemplarsOfSeries } from "../../api/types";
import type { Labels } from "../../lib/labels";
import { parseValue } from "../../lib/numbers";

const SIZE_PX = 5;

export function drawExemplars(chart: uPlot, series: readonly ExemplarsOfSeries[]) {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.fillStyle = "hsl(292 70% 55%)";
  const size = SIZE_PX * devicePixelRatio;
  for (const { exemplars } of series) {
    for (const { timestamp, value } of exemplars) {
      const x = chart.valToPos(timestamp, "x", true);
      const y = chart.valToPos(parseValue(value), "y", true);
      ctx.beginPath();
      ctx.moveTo(x, y - size);
      ctx.lineTo(x + size, y);
      ctx.lineTo(x, y + size);
      ctx.lineTo(x - size, y);
      ctx.fill();
    }
  }
  ctx.restore();
}

/** The exemplar under the pointer, and its series. */
export interface Met {
  exemplar: Exemplar;
  series: Labels;
}

/** Of several the nearest; `left` and `top` are CSS pixels within the plot. */
export function exemplarAt(
  chart: Pick<uPlot, "valToPos">,
  all: readonly ExemplarsOfSeries[],
  left: number,
  top: number,
): Met | null {
  let best: { met: Met; far: number } | null = null;
  for (const { seriesLabels, exemplars } of all) {
    for (const exemplar of exemplars) {
      const x = chart.valToPos(exemplar.timestamp, "x") - left;
      const y = chart.valToPos(parseValue(exemplar.value), "y") - top;
      const far = Math.hypot(x, y);
      if (far <= SIZE_PX + 3 && (!best || far < best.far)) best = { met: { exemplar, series: seriesLabels }, far };
    }
  }
  return best?.met ?? null;
}
