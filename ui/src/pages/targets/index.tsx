/** What is scraped, how it goes, and where it does not. */

import { useMemo } from "preact/hooks";

import { get } from "../../api/client";
import type { ActiveTarget } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Failure } from "../../components/Failure";
import { FilterChoice, FilterSelect } from "../../components/FilterChoice";
import { Page } from "../../components/Page";
import { SearchInput } from "../../components/SearchInput";
import { VirtualList } from "../../components/VirtualList";
import { formatShown } from "../../lib/numbers";
import { param, setParam } from "../../lib/router";
import { filtered, healthOf, HEALTHS, poolsOf, type Filter, type Health } from "./filter";
import { PoolHead } from "./PoolHead";
import { TargetRow } from "./TargetRow";
import "./targets.css";

const EVERY_MS = 5_000;

/** What the list shows: pools, each with its targets below it. */
type Item = { pool: string; all: readonly ActiveTarget[] } | ActiveTarget;

export default function TargetsPage() {
  const targets = useApi("targets", (signal) => get("/targets", { state: "active" }, { signal }), { everyMs: EVERY_MS });
  const all = targets.answer?.data.activeTargets;
  // The parameters are those of Prometheus' own page.
  const filter: Filter = { pool: param("pool"), health: healthOf(param("health")), text: param("search") };
  const pools = useMemo(() => poolsOf(all ?? []), [all]);
  const items = useMemo((): Item[] => {
    return [...pools].flatMap(([pool, members]) => {
      const shown = filtered(members, filter);
      return shown.length > 0 ? [{ pool, all: members }, ...shown] : [];
    });
  }, [pools, filter.pool, filter.health, filter.text]);
  const nShown = items.filter((item) => !("pool" in item)).length;
  return (
    <Page title="Targets" beside={<Filters filter={filter} pools={[...pools.keys()]} all={all ?? []} />}>
      <Failure error={targets.error} hasData={all !== undefined} />
      {all && (
        <p class="quiet count" role="status">
          {formatShown(nShown, all.length, "targets")}
        </p>
      )}
      {all && items.length === 0 && (
        <p class="quiet">{all.length === 0 ? "Nothing is scraped: no job has a target." : "No target fits these filters."}</p>
      )}
      {items.length > 0 && (
        <VirtualList
          items={items}
          estimate={58}
          label="Targets"
          class="fill targets"
          itemKey={(item) =>
            "pool" in item ? `pool ${item.pool}` : `${item.scrapePool} ${item.scrapeUrl} ${JSON.stringify(item.labels)}`
          }
          row={(item) => ("pool" in item ? <PoolHead name={item.pool} targets={item.all} /> : <TargetRow target={item} />)}
        />
      )}
    </Page>
  );
}

function Filters({ filter, pools, all }: { filter: Filter; pools: readonly string[]; all: readonly ActiveTarget[] }) {
  const count = (health: Health) => all.filter((target) => target.health === health).length;
  return (
    <div class="filters">
      <FilterSelect label="Pool" name="pool" value={filter.pool} options={pools} all="All pools" />
      <FilterChoice label="Health" name="health" value={filter.health ?? ""} options={HEALTHS} count={count} />
      <SearchInput label="Filter by endpoint or labels" value={filter.text} onInput={(text) => setParam("search", text)} />
    </div>
  );
}
