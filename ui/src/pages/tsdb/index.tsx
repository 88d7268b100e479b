/** What is stored: how much, of which metrics and labels, what is new since yesterday, and what nobody asks for. */

import { get } from "../../api/client";
import type { NamedCount } from "../../api/types";
import { useApi } from "../../api/useApi";
import { DataTable, type Column } from "../../components/DataTable";
import { Facts } from "../../components/Facts";
import { Failure } from "../../components/Failure";
import { Notice } from "../../components/Notice";
import { Page } from "../../components/Page";
import { tabId, Tabs } from "../../components/Tabs";
import { formatBytes, formatCount } from "../../lib/numbers";
import { param, setParam } from "../../lib/router";
import { formatTime, zone } from "../../lib/time";
import { CardinalityTab } from "./CardinalityTab";
import { Forecast } from "./Forecast";
import { UsageTab } from "./UsageTab";

const TABS = [
  ["cardinality", "Series by label"],
  ["usage", "Metrics nobody asks for"],
  ["labels", "Labels"],
  ["blocks", "Blocks"],
] as const;
type Tab = (typeof TABS)[number][0];

export default function TsdbPage() {
  const stats = useApi("tsdb", (signal) => get("/status/tsdb", { limit: 20 }, { signal }), { everyMs: 30_000 });
  const data = stats.answer?.data;
  const tab: Tab = TABS.find(([name]) => name === param("tab"))?.[0] ?? "cardinality";
  return (
    <Page title="TSDB">
      <Failure error={stats.error} hasData={data !== undefined} />
      {data && <Summary stats={data} />}
      <Forecast />
      {data?.storage.damage.map((one) => (
        <Notice key={`${one.place} ${one.minTime}`} kind="error">
          <bdi>
            {one.place} cannot be read: {one.error}. Missing: {formatTime(one.minTime, zone.value)} to{" "}
            {formatTime(one.maxTime, zone.value)}.
          </bdi>
        </Notice>
      ))}
      <Tabs
        label="What is stored"
        id="tsdb"
        panelId="tsdb-panel"
        value={tab}
        options={TABS}
        onChange={(one) => setParam("tab", one)}
      />
      <div id="tsdb-panel" role="tabpanel" aria-labelledby={tabId("tsdb", tab)}>
        {tab === "cardinality" && <CardinalityTab />}
        {tab === "usage" && <UsageTab />}
        {tab === "labels" && data && <Labels stats={data} />}
        {tab === "blocks" && <Blocks />}
      </div>
    </Page>
  );
}

type Stats = Awaited<ReturnType<typeof get<"/status/tsdb">>>["data"];

function Summary({ stats: { headStats, storage } }: { stats: Stats }) {
  const bytes = storage.pageBytes + storage.rowBytes + storage.indexBytes;
  return (
    <Facts
      label="Stored"
      facts={[
        ["Series", formatCount(headStats.numSeries)],
        ["Label pairs", formatCount(headStats.numLabelPairs)],
        [
          "Samples",
          headStats.minTime === 0
            ? "none"
            : `from ${formatTime(headStats.minTime, zone.value)} to ${formatTime(headStats.maxTime, zone.value)}`,
        ],
        [
          "On disk",
          `${formatBytes(bytes)}: pages ${formatBytes(storage.pageBytes)}, new rows ${formatBytes(storage.rowBytes)}, index ${formatBytes(storage.indexBytes)}`,
        ],
        [
          "A sample in pages",
          storage.pageSamples === 0
            ? "no pages yet"
            : `${(storage.pageBytes / storage.pageSamples).toFixed(2)} B, ${formatCount(storage.pageSamples)} of them`,
        ],
      ]}
    />
  );
}

function Labels({ stats }: { stats: Stats }) {
  const columns = (title: string, value: string, show: (n: number) => string): readonly Column<NamedCount>[] => [
    {
      key: "name",
      title,
      width: "minmax(8rem, 3fr)",
      cell: ({ name }) => <bdi class="mono">{name}</bdi>,
      sort: ({ name }) => name,
    },
    { key: "value", title: value, width: "8rem", align: "right", cell: (one) => show(one.value), sort: (one) => one.value },
  ];
  const part = (title: string, label: string, value: string, rows: readonly NamedCount[], show = formatCount) => (
    <section aria-label={title}>
      <h2>{title}</h2>
      <DataTable label={title} columns={columns(label, value, show)} rows={rows} rowKey={({ name }) => name} />
    </section>
  );
  return (
    <>
      {part("Labels with the most values", "Label", "Values", stats.labelValueCountByLabelName)}
      {part("Pairs with the most series", "Pair", "Series", stats.seriesCountByLabelValuePair)}
      {part("Labels whose values are longest", "Label", "Bytes", stats.memoryInBytesByLabelName, formatBytes)}
    </>
  );
}

type Block = Awaited<ReturnType<typeof get<"/status/tsdb/blocks">>>["data"]["blocks"][number];

const BLOCK_COLUMNS: readonly Column<Block>[] = [
  {
    key: "from",
    title: "From",
    width: "minmax(9rem, 1fr)",
    cell: ({ minTime }) => formatTime(minTime, zone.value),
    sort: ({ minTime }) => minTime,
  },
  {
    key: "to",
    title: "To",
    width: "minmax(9rem, 1fr)",
    cell: ({ maxTime }) => formatTime(maxTime, zone.value),
    sort: ({ maxTime }) => maxTime,
  },
  {
    key: "series",
    title: "Series",
    width: "7rem",
    align: "right",
    cell: ({ stats }) => formatCount(stats.numSeries),
    sort: ({ stats }) => stats.numSeries,
  },
  {
    key: "samples",
    title: "Samples",
    width: "9rem",
    align: "right",
    cell: ({ stats }) => formatCount(stats.numSamples),
    sort: ({ stats }) => stats.numSamples,
  },
  {
    key: "level",
    title: "Level",
    width: "5rem",
    align: "right",
    cell: ({ compaction }) => compaction.level,
    sort: ({ compaction }) => compaction.level,
    isExtra: true,
  },
];

function Blocks() {
  const blocks = useApi("blocks", (signal) => get("/status/tsdb/blocks", {}, { signal }));
  const data = blocks.answer?.data.blocks;
  return (
    <>
      <Failure error={blocks.error} hasData={data !== undefined} />
      {data && (
        <DataTable
          label="Blocks"
          columns={BLOCK_COLUMNS}
          rows={data}
          rowKey={({ ulid }) => ulid}
          sortedBy="from"
          empty="Nothing is old enough to be in pages."
        />
      )}
    </>
  );
}
