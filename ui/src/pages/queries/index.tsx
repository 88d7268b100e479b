/** The queries that run, each with a way to end it, and those of the last minutes that asked for the most. */

import { useState } from "preact/hooks";

import { act, get } from "../../api/client";
import type { ActiveQuery, TopQuery } from "../../api/types";
import { useApi } from "../../api/useApi";
import { DataTable, type Column } from "../../components/DataTable";
import { Duration } from "../../components/Duration";
import { Failure } from "../../components/Failure";
import { Notice } from "../../components/Notice";
import { Page } from "../../components/Page";
import { QueryLink } from "../../components/QueryLink";
import { tabId, Tabs } from "../../components/Tabs";
import { formatBytes, formatCount } from "../../lib/numbers";
import { param, setParam } from "../../lib/router";

const EVERY_MS = 2_000;
const ORDERS = [
  ["topBySumDuration", "Total time"],
  ["topByAvgDuration", "Time of one"],
  ["topByCount", "How often"],
  ["topByPeakSamples", "Samples held"],
] as const;
type Order = (typeof ORDERS)[number][0];

export default function QueriesPage() {
  return (
    <Page title="Queries">
      <Running />
      <Top />
    </Page>
  );
}

function Running() {
  const running = useApi("active queries", (signal) => get("/status/active_queries", {}, { signal }), { everyMs: EVERY_MS });
  const [refusal, setRefusal] = useState<string | null>(null);
  const queries = running.answer?.data.queries;
  const cancel = (id: number) =>
    act("/status/active_queries/cancel", { id }).then(
      () => {
        setRefusal(null);
        running.reload();
      },
      (error: unknown) => setRefusal(error instanceof Error ? error.message : String(error)),
    );
  const columns: readonly Column<ActiveQuery>[] = [
    { key: "query", title: "Query", width: "minmax(9rem, 3fr)", cell: ({ query }) => <QueryLink expression={query} /> },
    {
      key: "elapsed",
      title: "For",
      width: "6rem",
      align: "right",
      cell: ({ elapsedSeconds }) => <Duration ms={elapsedSeconds * 1000} />,
      sort: ({ elapsedSeconds }) => elapsedSeconds,
    },
    {
      key: "samples",
      title: "Samples",
      width: "7rem",
      align: "right",
      cell: ({ samples }) => formatCount(samples),
      sort: ({ samples }) => samples,
      isExtra: true,
    },
    {
      key: "memory",
      title: "Memory",
      width: "7rem",
      align: "right",
      cell: ({ memoryBytes }) => formatBytes(memoryBytes),
      sort: ({ memoryBytes }) => memoryBytes,
      isExtra: true,
    },
    {
      key: "client",
      title: "Client",
      width: "minmax(6rem, 1fr)",
      cell: ({ client }) => <bdi>{client}</bdi>,
      sort: ({ client }) => client,
      isExtra: true,
    },
    {
      key: "cancel",
      title: "End",
      width: "5.5rem",
      cell: ({ id, query }) => (
        <button type="button" class="small" aria-label={`Cancel ${query}`} onClick={() => void cancel(id)}>
          Cancel
        </button>
      ),
    },
  ];
  return (
    <section aria-labelledby="running">
      <h2 id="running">Running</h2>
      <Failure error={running.error} hasData={queries !== undefined} />
      {refusal !== null && <Notice kind="error">{refusal}</Notice>}
      {queries && (
        <DataTable label="Running queries" columns={columns} rows={queries} rowKey={({ id }) => id} empty="No query runs now." />
      )}
    </section>
  );
}

const TOP_COLUMNS: readonly Column<TopQuery>[] = [
  {
    key: "query",
    title: "Query",
    width: "minmax(9rem, 3fr)",
    cell: ({ query }) => <QueryLink expression={query} />,
    sort: ({ query }) => query,
  },
  {
    key: "range",
    title: "Range",
    width: "6rem",
    align: "right",
    cell: ({ timeRangeSeconds }) =>
      timeRangeSeconds === 0 ? <span class="quiet">instant</span> : <Duration ms={timeRangeSeconds * 1000} />,
    sort: ({ timeRangeSeconds }) => timeRangeSeconds,
    isExtra: true,
  },
  {
    key: "count",
    title: "Times",
    width: "6rem",
    align: "right",
    cell: ({ count }) => formatCount(count),
    sort: ({ count }) => count,
  },
  {
    key: "mean",
    title: "Each",
    width: "6rem",
    align: "right",
    cell: ({ avgDurationSeconds }) => <Duration ms={avgDurationSeconds * 1000} />,
    sort: ({ avgDurationSeconds }) => avgDurationSeconds,
  },
  {
    key: "sum",
    title: "Together",
    width: "6rem",
    align: "right",
    cell: ({ sumDurationSeconds }) => <Duration ms={sumDurationSeconds * 1000} />,
    sort: ({ sumDurationSeconds }) => sumDurationSeconds,
  },
  {
    key: "peak",
    title: "Samples",
    width: "7rem",
    align: "right",
    cell: ({ peakSamples }) => formatCount(peakSamples),
    sort: ({ peakSamples }) => peakSamples,
    isExtra: true,
  },
];

function Top() {
  const top = useApi("top queries", (signal) => get("/status/top_queries", {}, { signal }), { everyMs: 5 * EVERY_MS });
  const order: Order = ORDERS.find(([name]) => name === param("by"))?.[0] ?? "topBySumDuration";
  const data = top.answer?.data;
  return (
    <section aria-labelledby="top">
      <h2 id="top">Of the last ten minutes</h2>
      <Failure error={top.error} hasData={data !== undefined} />
      <Tabs label="Ordered by" id="by" panelId="by-panel" value={order} options={ORDERS} onChange={(by) => setParam("by", by)} />
      <div id="by-panel" role="tabpanel" aria-labelledby={tabId("by", order)}>
        {data && (
          <DataTable
            label="Queries"
            columns={TOP_COLUMNS}
            rows={data[order]}
            rowKey={({ query, timeRangeSeconds }) => `${timeRangeSeconds} ${query}`}
            empty="Nothing was asked."
          />
        )}
      </div>
    </section>
  );
}
