/** All metrics with type, help and number of series; a click writes one into the query. */

import { useMemo, useState } from "preact/hooks";

import { get } from "../../api/client";
import { metricNames } from "../../api/queries";
import { useApi } from "../../api/useApi";
import { Badge } from "../../components/Badge";
import { DataTable, type Column } from "../../components/DataTable";
import { Dialog } from "../../components/Dialog";
import { Failure } from "../../components/Failure";
import { SearchInput } from "../../components/SearchInput";
import { formatCount } from "../../lib/numbers";

interface Metric {
  name: string;
  type: string;
  help: string;
  /** Undefined where it is not known. */
  series: number | undefined;
}

/** More values than a store has metrics. */
const ALL_METRICS = 1_000_000;

export default function MetricsExplorer({ onChoose, onClose }: { onChoose: (name: string) => void; onClose: () => void }) {
  const [search, setSearch] = useState("");
  const names = useApi("names", metricNames);
  const metadata = useApi("metadata", (signal) => get("/metadata", { limit_per_metric: 1 }, { signal }));
  const cardinality = useApi("cardinality", (signal) => get("/status/cardinality", { limit: ALL_METRICS }, { signal }));
  const metrics = useMemo(() => {
    const series = new Map(cardinality.answer?.data.values.map((one) => [one.value, one.series]));
    const said = metadata.answer?.data ?? {};
    return (names.answer?.data ?? []).map((name): Metric => {
      const [about] = said[name] ?? said[family(name)] ?? [];
      return {
        name,
        type: about?.type ?? "",
        help: about?.help ?? "",
        series: cardinality.answer ? (series.get(name) ?? 0) : undefined,
      };
    });
  }, [names.answer, metadata.answer, cardinality.answer]);
  const words = search.toLowerCase().split(/\s+/);
  const shown = useMemo(
    () =>
      metrics.filter(({ name, help }) =>
        words.every((word) => name.toLowerCase().includes(word) || help.toLowerCase().includes(word)),
      ),
    [metrics, search],
  );
  const columns: readonly Column<Metric>[] = [
    {
      key: "name",
      title: "Metric",
      width: "minmax(9rem, 2fr)",
      cell: ({ name }) => (
        <button type="button" class="link metric-name" onClick={() => onChoose(name)}>
          <bdi>{name}</bdi>
        </button>
      ),
      sort: ({ name }) => name,
    },
    {
      key: "type",
      isExtra: true,
      title: "Type",
      width: "6rem",
      cell: ({ type }) => type !== "" && <Badge tone="quiet">{type}</Badge>,
      sort: ({ type }) => type,
    },
    {
      key: "series",
      title: "Series today",
      width: "8rem",
      align: "right",
      cell: ({ series }) => <span class="number">{series === undefined ? "–" : formatCount(series)}</span>,
      sort: ({ series }) => series ?? 0,
    },
    {
      key: "help",
      isExtra: true,
      title: "Help",
      width: "minmax(12rem, 3fr)",
      cell: ({ help }) => <bdi class="quiet wrap">{help}</bdi>,
    },
  ];
  return (
    <Dialog title="Metrics" class="wide" onClose={onClose}>
      <SearchInput label="Search names and help" value={search} onInput={setSearch} isFirst />
      <Failure error={names.error ?? metadata.error ?? cardinality.error} hasData={names.answer !== undefined} />
      <DataTable
        label="Metrics"
        columns={columns}
        rows={shown}
        rowKey={({ name }) => name}
        sortedBy="name"
        class="explorer"
        empty="No metric has these words."
      />
    </Dialog>
  );
}

/** The name under which metadata of a part of a histogram or summary stands. */
function family(name: string): string {
  return name.replace(/_(bucket|sum|count|total)$/, "");
}
