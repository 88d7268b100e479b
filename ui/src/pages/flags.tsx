/** The flags that the server was started with. */

import { useMemo } from "preact/hooks";

import { get } from "../api/client";
import { useApi } from "../api/useApi";
import { DataTable, type Column } from "../components/DataTable";
import { Failure } from "../components/Failure";
import { Page } from "../components/Page";
import { SearchInput } from "../components/SearchInput";
import { param, setParam } from "../lib/router";

type Flag = readonly [name: string, value: string];

const COLUMNS: readonly Column<Flag>[] = [
  {
    key: "name",
    title: "Flag",
    width: "minmax(9rem, 1fr)",
    cell: ([name]) => <code class="wrap">--{name}</code>,
    sort: ([name]) => name,
  },
  {
    key: "value",
    title: "Value",
    width: "minmax(8rem, 2fr)",
    cell: ([, value]) => <bdi class="mono wrap">{value}</bdi>,
    sort: ([, value]) => value,
  },
];

export default function FlagsPage() {
  const flags = useApi("flags", (signal) => get("/status/flags", {}, { signal }));
  const filter = param("search");
  const data = flags.answer?.data;
  const shown = useMemo(() => {
    const lower = filter.toLowerCase();
    return Object.entries(data ?? {}).filter((flag) => flag.some((text) => text.toLowerCase().includes(lower)));
  }, [data, filter]);
  return (
    <Page
      title="Flags"
      beside={<SearchInput label="Filter by flag or value" value={filter} onInput={(text) => setParam("search", text)} />}
    >
      <Failure error={flags.error} hasData={data !== undefined} />
      {data && (
        <DataTable
          label="Flags"
          columns={COLUMNS}
          rows={shown}
          rowKey={([name]) => name}
          sortedBy="name"
          class="fill"
          empty="No flag has this in its name or value."
        />
      )}
    </Page>
  );
}
