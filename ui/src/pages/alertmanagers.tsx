/** The Alertmanagers that alerts are sent to, and those that relabelling dropped. */

import { get } from "../api/client";
import { useApi } from "../api/useApi";
import { DataTable, type Column } from "../components/DataTable";
import { Failure } from "../components/Failure";
import { Page } from "../components/Page";

interface Known {
  url: string;
}

const COLUMNS: readonly Column<Known>[] = [
  { key: "url", title: "Endpoint", width: "1fr", cell: ({ url }) => <bdi class="mono wrap">{url}</bdi>, sort: ({ url }) => url },
];

export default function AlertmanagersPage() {
  const known = useApi("alertmanagers", (signal) => get("/alertmanagers", {}, { signal }), { everyMs: 15_000 });
  const data = known.answer?.data;
  const part = (title: string, rows: readonly Known[], empty: string) => (
    <section aria-label={title}>
      <h2>{title}</h2>
      <DataTable label={title} columns={COLUMNS} rows={rows} rowKey={({ url }) => url} sortedBy="url" empty={empty} />
    </section>
  );
  return (
    <Page title="Alertmanagers">
      <Failure error={known.error} hasData={data !== undefined} />
      {data && part("Active", data.activeAlertmanagers, "Alerts are sent nowhere: alerting.alertmanagers finds none.")}
      {data && data.droppedAlertmanagers.length > 0 && part("Dropped by relabelling", data.droppedAlertmanagers, "None.")}
    </Page>
  );
}
