/** The result of a query at one time, as a table. */

import { useMemo } from "preact/hooks";

import { instant, type InstantResult } from "../../api/queries";
import type { Histogram } from "../../api/types";
import { useApi } from "../../api/useApi";
import { DataTable, type Column } from "../../components/DataTable";
import { SeriesName } from "../../components/LabelSet";
import { formatSeries, type Labels } from "../../lib/labels";
import { formatCount, parseValue } from "../../lib/numbers";
import { formatTime, zone } from "../../lib/time";
import { HistogramView } from "./HistogramView";
import { Outcome, type TabProps } from "./Outcome";
import { TimeInput } from "./TimeInput";

type Cell =
  | { kind: "value"; text: string }
  | { kind: "histogram"; histogram: Histogram }
  | { kind: "points"; points: readonly (readonly [number, string])[] };

interface Row {
  labels: Labels;
  cell: Cell;
}

function rowsOf(result: InstantResult): Row[] {
  switch (result.resultType) {
    case "vector":
      return result.result.map(({ metric, value, histogram }) => ({
        labels: metric,
        cell: histogram ? { kind: "histogram", histogram: histogram[1] } : { kind: "value", text: value?.[1] ?? "" },
      }));
    case "matrix":
      return result.result.map(({ metric, values = [], histograms = [] }) => ({
        labels: metric,
        cell: {
          kind: "points",
          points: [...values, ...histograms.map(([at, { count, sum }]) => [at, `count ${count}, sum ${sum}`] as const)],
        },
      }));
    default:
      return [{ labels: {}, cell: { kind: "value", text: result.result[1] } }];
  }
}

const COLUMNS: readonly Column<Row>[] = [
  {
    key: "series",
    title: "Series",
    width: "minmax(9rem, 3fr)",
    cell: ({ labels }) => <SeriesName labels={labels} />,
    sort: ({ labels }) => formatSeries(labels),
  },
  {
    key: "value",
    title: "Value",
    width: "minmax(7rem, 1fr)",
    align: "right",
    cell: ({ cell }) => <Value cell={cell} />,
    sort: ({ cell }) => (cell.kind === "value" ? parseValue(cell.text) : 0),
  },
];

function Value({ cell }: { cell: Cell }) {
  if (cell.kind === "value") return <span class="number selectable">{cell.text}</span>;
  if (cell.kind === "histogram") return <HistogramView histogram={cell.histogram} />;
  return (
    <div class="points">
      {cell.points.map(([at, text], i) => (
        <div key={i}>
          {text} <span class="quiet">@ {formatTime(at * 1000, zone.value, true)}</span>
        </div>
      ))}
    </div>
  );
}

export function TableTab({ panel, asked, onChange, onFix }: TabProps) {
  const atMs = panel.endMs ?? asked.atMs;
  const fetched = useApi(`${asked.expr}\n${atMs}\n${asked.round}`, (signal) => instant(asked.expr, atMs, { signal }), {
    about: asked.expr,
  });
  const result = fetched.answer?.data;
  const rows = useMemo(() => (result ? rowsOf(result) : []), [result]);
  return (
    <>
      <div class="tab-controls">
        <TimeInput
          label="Evaluation time"
          value={panel.endMs}
          rangeMs={panel.rangeMs}
          onChange={(endMs) => onChange({ endMs })}
        />
        {result && (
          <span class="quiet">
            {rows.length === 1 ? "1 series" : `${formatCount(rows.length)} series`}
            {result.stats && ` · ${formatCount(result.stats.samples.samplesRead)} samples read`} ·{" "}
            {Math.round(fetched.answer?.tookMs ?? 0)} ms
          </span>
        )}
      </div>
      <Outcome fetched={fetched} expr={asked.expr} isEmpty={result !== undefined && rows.length === 0} onFix={onFix}>
        <DataTable label="Query result" columns={COLUMNS} rows={rows} rowKey={(_, i) => i} class="result" />
      </Outcome>
    </>
  );
}
