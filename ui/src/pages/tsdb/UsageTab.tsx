/** Metrics by who asks for them, and the rule that drops those that nobody asks for. */

import { get } from "../../api/client";
import { useApi } from "../../api/useApi";
import { CopyButton } from "../../components/CopyButton";
import { DataTable, type Column } from "../../components/DataTable";
import { Ago } from "../../components/Duration";
import { Failure } from "../../components/Failure";
import { formatCount } from "../../lib/numbers";

type Usage = Awaited<ReturnType<typeof get<"/status/metric_usage">>>["data"];
type Used = Usage["metrics"][number];

const COLUMNS: readonly Column<Used>[] = [
  {
    key: "name",
    title: "Metric",
    width: "minmax(9rem, 3fr)",
    cell: ({ name }) => <bdi class="mono">{name}</bdi>,
    sort: ({ name }) => name,
  },
  {
    key: "series",
    title: "Series",
    width: "7rem",
    align: "right",
    cell: ({ series }) => formatCount(series),
    sort: ({ series }) => series,
  },
  {
    key: "api",
    title: "By people",
    width: "7rem",
    align: "right",
    cell: ({ apiCount }) => formatCount(apiCount),
    sort: ({ apiCount }) => apiCount,
  },
  {
    key: "rules",
    title: "By rules",
    width: "7rem",
    align: "right",
    cell: ({ ruleCount }) => formatCount(ruleCount),
    sort: ({ ruleCount }) => ruleCount,
  },
  {
    key: "last",
    title: "Last by people",
    width: "8rem",
    cell: ({ lastApi }) => <Ago at={lastApi ?? ""} />,
    sort: ({ lastApi }) => lastApi ?? "",
    isExtra: true,
  },
];

export function UsageTab() {
  const usage = useApi("usage", (signal) => get("/status/metric_usage", {}, { signal }));
  const data = usage.answer?.data;
  return (
    <>
      <Failure error={usage.error} hasData={data !== undefined} />
      {data && (
        <>
          <p>
            Counted since <Ago at={data.since} />. {formatCount(data.neverAsked.metrics)} metrics with{" "}
            {formatCount(data.neverAsked.series)} series were never asked for, neither by people nor by rules.
          </p>
          {data.neverAsked.metricRelabelConfigs !== "" && (
            <details>
              <summary>The rule that drops them, for a job</summary>
              <CopyButton text={data.neverAsked.metricRelabelConfigs} />
              <pre class="code-block" tabIndex={0}>
                {data.neverAsked.metricRelabelConfigs}
              </pre>
            </details>
          )}
          <DataTable
            label="Metrics that are asked for"
            columns={COLUMNS}
            rows={data.metrics}
            rowKey={({ name }) => name}
            class="fill"
            empty="No metric was asked for yet."
          />
        </>
      )}
    </>
  );
}
