/** A drawing of uPlot as wide as its place. What is drawn anew with `options` is made anew. */

import { useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import { HEIGHT_PX } from "./chart";

interface Props {
  /** What it shows, for those who do not see it. */
  label: string;
  data: uPlot.AlignedData;
  options: (width: number) => uPlot.Options;
  /** The drawing, for what is changed without making it anew. */
  onMade?: (chart: uPlot) => void;
}

export function Chart({ label, data, options, onMade }: Props) {
  const place = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const element = place.current;
    if (!element) return;
    const chart = new uPlot(options(element.clientWidth), data, element);
    onMade?.(chart);
    const resized = new ResizeObserver(() => {
      if (element.clientWidth !== chart.width) chart.setSize({ width: element.clientWidth, height: HEIGHT_PX });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      chart.destroy();
    };
  }, [data, options]);
  return <div ref={place} class="chart" role="img" aria-label={label} />;
}
