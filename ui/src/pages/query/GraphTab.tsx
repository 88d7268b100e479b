/** The result of a query over a range, as a graph. */

import { useMemo, useState } from "preact/hooks";

import { exemplars, range, type Range } from "../../api/queries";
import type { MatrixResult } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Notice } from "../../components/Notice";
import { GraphControls } from "./GraphControls";
import { graphData } from "./graphData";
import { HeatmapGraph } from "./HeatmapGraph";
import { heatmap } from "./heatmapData";
import { ALL, isShown, Legend } from "./Legend";
import { LineGraph } from "./LineGraph";
import { Outcome, type TabProps } from "./Outcome";
import { stepMs, type Panel } from "./state";

export default function GraphTab({ panel, asked, onChange, onFix }: TabProps) {
  const times = useMemo((): Range => {
    const endMs = panel.endMs ?? asked.atMs;
    return { startMs: endMs - panel.rangeMs, endMs, stepMs: stepMs(panel) };
  }, [panel.endMs, panel.rangeMs, panel.resolution, asked]);
  const key = `${asked.expr}\n${times.startMs} ${times.endMs} ${times.stepMs} ${asked.round}`;
  const ask = async (signal: AbortSignal) => {
    const answer = await range(asked.expr, times, { signal });
    // The range goes with the answer: the next one may be asked for already.
    return { ...answer, data: { result: answer.data.result, times } };
  };
  const fetched = useApi(key, ask, { about: asked.expr });
  const data = fetched.answer?.data;
  return (
    <>
      <GraphControls panel={panel} onChange={onChange} />
      <Outcome fetched={fetched} expr={asked.expr} isEmpty={data?.result.length === 0} onFix={onFix}>
        {data && <Drawing result={data.result} times={data.times} expr={asked.expr} panel={panel} onChange={onChange} />}
      </Outcome>
    </>
  );
}

interface DrawingProps {
  result: MatrixResult["result"];
  times: Range;
  expr: string;
  panel: Panel;
  onChange: (change: Partial<Panel>) => void;
}

function Drawing({ result, times, expr, panel, onChange }: DrawingProps) {
  const data = useMemo(() => graphData(result, times), [result, times]);
  const cells = useMemo(() => (panel.display === "heatmap" ? heatmap(result, times) : null), [result, times, panel.display]);
  const [selection, setSelection] = useState(ALL);
  const shown = useMemo(() => (index: number) => isShown(selection, data.lines, index), [selection, data]);
  const found = useApi(panel.showExemplars ? `${expr}\n${times.startMs} ${times.endMs}` : null, (signal) =>
    exemplars(expr, times, { signal }),
  );
  const zoom = (from: number, to: number) => {
    const rangeMs = Math.max(Math.round((to - from) * 1000), 1000);
    onChange({ endMs: Math.round(to * 1000), rangeMs });
  };
  if (panel.display === "heatmap") {
    if (cells) return <HeatmapGraph data={cells} isLog={panel.isLog} onZoom={zoom} />;
    return (
      <Notice kind="info">
        A heat map shows native histograms, and buckets of classic ones with their label le. This result has neither.
      </Notice>
    );
  }
  const nHistograms = result.length - data.lines.length;
  return (
    <>
      {nHistograms > 0 && <Notice kind="info">{nHistograms} series are histograms, which are shown as a heat map.</Notice>}
      {data.lines.length > 0 && (
        <>
          <LineGraph
            data={data}
            isShown={shown}
            isStacked={panel.display === "stacked"}
            isLog={panel.isLog}
            yMin={panel.isLog ? null : panel.yMin}
            exemplars={found.answer?.data ?? []}
            onZoom={zoom}
          />
          <Legend data={data} selection={selection} onSelect={setSelection} />
        </>
      )}
    </>
  );
}
