/** The monitors of a cluster: what each selects, and why one selects nothing. */

import { useMemo } from "preact/hooks";

import { get } from "../../api/client";
import type { Monitor } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Failure } from "../../components/Failure";
import { Notice } from "../../components/Notice";
import { FilterChoice, FilterSelect } from "../../components/FilterChoice";
import { Page } from "../../components/Page";
import { SearchInput } from "../../components/SearchInput";
import { VirtualList } from "../../components/VirtualList";
import { formatShown } from "../../lib/numbers";
import { param, paramOf, setParam } from "../../lib/router";
import { filteredMonitors, kindsOf, troubles, type Trouble, TROUBLES } from "./filter";
import { MonitorCard } from "./MonitorCard";

export default function MonitorsPage() {
  const monitors = useApi("monitors", (signal) => get("/monitors", {}, { signal }), { everyMs: 5_000 });
  const data = monitors.answer?.data;
  const [kind, text] = [param("kind"), param("search")];
  const trouble = paramOf("trouble", TROUBLES);
  const all = data?.monitors;
  const shown = useMemo(() => filteredMonitors(all ?? [], { kind, trouble, text }), [all, kind, trouble, text]);
  return (
    <Page title="Monitors" beside={<Filters all={all ?? []} kind={kind} trouble={trouble} text={text} />}>
      <Failure error={monitors.error} hasData={data !== undefined} />
      {data?.isFollowed === false && (
        <p class="quiet">
          Monitors are not followed. With the flag <code>--operator</code> this server reads ServiceMonitors, PodMonitors, Probes,
          ScrapeConfigs and PrometheusRules itself.
        </p>
      )}
      {data?.prometheus?.error !== undefined && (
        <Notice kind="error">
          <bdi>
            {data.prometheus.name} is not in force: {data.prometheus.error}
          </bdi>
        </Notice>
      )}
      {data?.prometheus?.isPaused === true && (
        <Notice kind="warning">{data.prometheus.name} is paused: changes of monitors have no effect.</Notice>
      )}
      {data?.kinds.flatMap(({ kind: of, errors }) =>
        errors.map((error) => (
          <Notice key={`${of} ${error}`} kind="warning">
            <bdi>{error}</bdi>
          </Notice>
        )),
      )}
      {data?.isFollowed === true && (
        <p class="quiet count" role="status">
          {formatShown(shown.length, data.monitors.length, "objects")}
        </p>
      )}
      {shown.length > 0 && (
        <VirtualList
          items={shown}
          estimate={56}
          label="Monitors"
          class="fill"
          itemKey={keyOf}
          row={(one) => <MonitorCard monitor={one} />}
        />
      )}
    </Page>
  );
}

function keyOf({ kind, namespace, name }: Monitor): string {
  return `${kind} ${namespace}/${name}`;
}

function Filters({ all, kind, trouble, text }: { all: readonly Monitor[]; kind: string; trouble: Trouble | ""; text: string }) {
  return (
    <div class="filters">
      <FilterSelect label="Kind" name="kind" value={kind} options={kindsOf(all)} all="All kinds" />
      <FilterChoice
        label="Trouble"
        name="trouble"
        value={trouble}
        options={TROUBLES}
        count={(one) => all.filter((monitor) => troubles(monitor).includes(one)).length}
      />
      <SearchInput label="Filter by namespace or name" value={text} onInput={(value) => setParam("search", value)} />
    </div>
  );
}
