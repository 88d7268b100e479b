/** What runs here, since when, and what it tells whoever looks. */

import { get } from "../api/client";
import { useApi } from "../api/useApi";
import { Badge } from "../components/Badge";
import { Ago } from "../components/Duration";
import { Facts } from "../components/Facts";
import { Failure } from "../components/Failure";
import { Page } from "../components/Page";

const EVERY_MS = 15_000;

export default function StatusPage() {
  const runtime = useApi("runtime", (signal) => get("/status/runtimeinfo", {}, { signal }), { everyMs: EVERY_MS });
  const build = useApi("build", (signal) => get("/status/buildinfo", {}, { signal }));
  const run = runtime.answer?.data;
  const built = build.answer?.data;
  return (
    <Page title="Runtime & build">
      <Failure error={runtime.error ?? build.error} hasData={run !== undefined} />
      {run && (
        <section aria-labelledby="runtime">
          <h2 id="runtime">Runtime</h2>
          <Facts
            label="Runtime"
            facts={[
              ["Host", <bdi>{run.hostname}</bdi>],
              ["Started", <Ago at={run.startTime} />],
              [
                "Configuration",
                run.reloadConfigSuccess ? <Badge tone="good">loaded</Badge> : <Badge tone="bad">last reload failed</Badge>,
              ],
              ["In force since", <Ago at={run.lastConfigTime} />],
              ["Retention", run.storageRetention],
              ["Processors", run.GOMAXPROCS],
              ["Working directory", <bdi class="mono wrap">{run.CWD}</bdi>],
            ]}
          />
        </section>
      )}
      {built && (
        <section aria-labelledby="build">
          <h2 id="build">Build</h2>
          <Facts
            label="Build"
            facts={[
              ["Weft", built.weftVersion],
              ["Compatible with Prometheus", built.version],
            ]}
          />
        </section>
      )}
      <Notifications />
    </Page>
  );
}

function Notifications() {
  const told = useApi("status notifications", (signal) => get("/notifications", {}, { signal }), { everyMs: EVERY_MS });
  const all = told.answer?.data;
  return (
    <section aria-labelledby="notifications">
      <h2 id="notifications">Notifications</h2>
      <Failure error={told.error} hasData={all !== undefined} />
      {all?.length === 0 && <p class="quiet">There are none.</p>}
      <ul class="plain-list">
        {all?.map(({ text, date, active }) => (
          <li key={`${date} ${text}`}>
            <Badge tone={active ? "warn" : "quiet"}>{active ? "now" : "over"}</Badge> {text} <Ago at={date} />
          </li>
        ))}
      </ul>
    </section>
  );
}
