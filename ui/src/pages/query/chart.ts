/** Options of uPlot that all graphs of the page share. */

import uPlot from "uplot";

import { isNarrow } from "../../lib/media";
import { formatShort } from "../../lib/numbers";
import { formatTime, type Zone } from "../../lib/time";

export const HEIGHT_PX = 360;

/** What a style sheet says a colour is: canvases know no custom properties. */
function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Times as short as their distance allows. */
function timeLabels(zone: Zone): uPlot.Axis.Values {
  return (_self, splits, _axis, _space, distance) => {
    let day = "";
    return splits.map((seconds) => {
      const text = formatTime(seconds * 1000, zone, distance < 1);
      const date = text.slice(5, 10);
      const clock = distance < 1 ? text.slice(11) : distance < 60 ? text.slice(11, 19) : text.slice(11, 16);
      const isNewDay = date !== day;
      day = date;
      if (distance >= 86_400) return distance >= 86_400 * 28 ? text.slice(0, 7) : date;
      return isNewDay ? `${clock}\n${date}` : clock;
    });
  };
}

export interface Basics {
  width: number;
  zone: Zone;
  isLog: boolean;
  /** A range that was marked with the pointer, seconds. */
  onZoom: (from: number, to: number) => void;
}

export function chartOptions({ width, zone, isLog, onZoom }: Basics): uPlot.Options {
  const axis = {
    stroke: color("text-quiet"),
    grid: { stroke: color("grid"), width: 1 },
    ticks: { stroke: color("grid"), width: 1 },
  };
  const font = "12px system-ui, sans-serif";
  return {
    width,
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: {
      points: { show: false },
      drag: { x: true, y: false, setScale: false },
      // A double click would show everything, which is shown anyhow.
      bind: { dblclick: () => null },
    },
    tzDate: (seconds) => (zone === "utc" ? uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") : new Date(seconds * 1000)),
    scales: { x: { time: true }, y: isLog ? { distr: 3 } : {} },
    axes: [
      { ...axis, font, space: 70, values: timeLabels(zone) },
      { ...axis, font, size: 64, values: (_self, splits) => splits.map((value) => (value === null ? "" : formatShort(value))) },
    ],
    series: [{}],
    hooks: {
      setSelect: [
        (chart) => {
          const { left, width: marked } = chart.select;
          if (marked < 4) return;
          onZoom(chart.posToVal(left, "x"), chart.posToVal(left + marked, "x"));
          chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** The widths of what is shown at the pointer, pixels; of a phone the second. The style sheet has the same. */
const TIP_PX = [320, 200] as const;

/** Where something at the pointer stands: beside it, on the side where there is more room, and within the graph. */
export function tipPlace(chart: uPlot, left: number, top: number): { left: number; top: number } {
  const width = isNarrow.peek() ? TIP_PX[1] : TIP_PX[0];
  const pointer = chart.bbox.left / devicePixelRatio + left;
  const beside = left > chart.over.clientWidth / 2 ? pointer - width - 16 : pointer + 16;
  const most = chart.root.clientWidth - width;
  return { left: Math.max(0, Math.min(beside, most)), top: Math.min(top, chart.over.clientHeight - 60) + 8 };
}
