/** The alerting rules and what they fire. The parameters are those of Prometheus' own page. */

import { useMemo } from "preact/hooks";

import { get } from "../../api/client";
import { useApi } from "../../api/useApi";
import { Failure } from "../../components/Failure";
import { FilterChoice } from "../../components/FilterChoice";
import { Page } from "../../components/Page";
import { SearchInput } from "../../components/SearchInput";
import { VirtualList } from "../../components/VirtualList";
import { param, paramOf, setParam } from "../../lib/router";
import { AlertCard } from "./AlertCard";
import { alertRules, filteredAlerts, STATES, stateOf } from "./alerts";

export default function AlertsPage() {
  const rules = useApi("alerting rules", (signal) => get("/rules", { type: "alert" }, { signal }), { everyMs: 5_000 });
  const groups = rules.answer?.data.groups;
  const all = useMemo(() => alertRules(groups ?? []), [groups]);
  const state = paramOf("state", STATES);
  const text = param("search");
  const shown = useMemo(() => filteredAlerts(all, state, text), [all, state, text]);
  return (
    <Page
      title="Alerts"
      beside={
        <div class="filters">
          <FilterChoice
            label="State"
            name="state"
            value={state}
            options={STATES}
            count={(one) => all.filter((rule) => stateOf(rule) === one).length}
          />
          <SearchInput label="Filter by name, query or labels" value={text} onInput={(value) => setParam("search", value)} />
        </div>
      }
    >
      <Failure error={rules.error} hasData={groups !== undefined} />
      {groups && shown.length === 0 && (
        <p class="quiet">
          {all.length === 0
            ? "There are no alerting rules: neither rule_files nor PrometheusRule objects have any."
            : "No alerting rule fits these filters."}
        </p>
      )}
      {shown.length > 0 && (
        <VirtualList
          items={shown}
          estimate={64}
          label="Alerting rules"
          class="fill"
          itemKey={({ rule, group, index }) => `${group.file} ${group.name} ${index} ${rule.name}`}
          row={(one) => <AlertCard alert={one} />}
        />
      )}
    </Page>
  );
}
