/** What discovery found, what relabelling made of it, rule by rule on request, and how its sources fare. */

import { useMemo } from "preact/hooks";

import { get } from "../../api/client";
import { useApi } from "../../api/useApi";
import { Failure } from "../../components/Failure";
import { FilterChoice, FilterSelect } from "../../components/FilterChoice";
import { Page } from "../../components/Page";
import { SearchInput } from "../../components/SearchInput";
import { tabId, Tabs } from "../../components/Tabs";
import { VirtualList } from "../../components/VirtualList";
import { formatSeries } from "../../lib/labels";
import { formatCount } from "../../lib/numbers";
import { param, paramOf, setParam } from "../../lib/router";
import { CandidateCard } from "./CandidateCard";
import { filteredCandidates, poolsOf, type Candidate, type Pool } from "./candidates";
import { SourcesTab } from "./SourcesTab";
import "./discovery.css";

const STATES = ["active", "dropped"] as const;

const TABS = [
  ["found", "What was found"],
  ["sources", "Sources"],
] as const;
type Tab = (typeof TABS)[number][0];

type Item = { pool: Pool } | { candidate: Candidate };

export default function DiscoveryPage() {
  const found = useApi("candidates", (signal) => get("/targets", { state: "any" }, { signal }), { everyMs: 15_000 });
  const data = found.answer?.data;
  const pools = useMemo(() => (data ? poolsOf(data) : []), [data]);
  const [pool, text] = [param("pool"), param("search")];
  const state = paramOf("state", STATES);
  const tab: Tab = TABS.find(([name]) => name === param("tab"))?.[0] ?? "found";
  const items = useMemo((): Item[] => {
    const chosen = pools.filter(({ name }) => pool === "" || name === pool);
    return chosen.flatMap((one): Item[] => {
      const shown = filteredCandidates(one.candidates, state, text);
      // A job without anything is worth a line where nobody looks for something else.
      return shown.length > 0 || text === "" ? [{ pool: one }, ...shown.map((candidate) => ({ candidate }))] : [];
    });
  }, [pools, pool, state, text]);
  return (
    <Page
      title="Service discovery"
      beside={
        <div class="filters">
          <FilterSelect label="Pool" name="pool" value={pool} options={pools.map(({ name }) => name)} all="All pools" />
          {tab === "found" && <FilterChoice label="State" name="state" value={state} options={STATES} />}
          <SearchInput label="Filter by labels" value={text} onInput={(value) => setParam("search", value)} />
        </div>
      }
    >
      <Tabs
        label="Discovery"
        id="discovery"
        panelId="discovery-panel"
        value={tab}
        options={TABS}
        onChange={(one) => setParam("tab", one)}
      />
      <div id="discovery-panel" class="fill discovery-panel" role="tabpanel" aria-labelledby={tabId("discovery", tab)}>
        {tab === "sources" && <SourcesTab pool={pool} text={text} />}
        {tab === "found" && (
          <>
            <Failure error={found.error} hasData={data !== undefined} />
            {data && items.length === 0 && (
              <p class="quiet">
                {pools.length === 0 ? "Discovery found nothing for any job." : "Nothing that was found fits these filters."}
              </p>
            )}
            {items.length > 0 && (
              <VirtualList
                items={items}
                estimate={58}
                label="Candidates"
                class="fill"
                itemKey={(item) =>
                  "pool" in item ? `pool ${item.pool.name}` : `${item.candidate.pool} ${formatSeries(item.candidate.discovered)}`
                }
                row={(item) => ("pool" in item ? <PoolHead pool={item.pool} /> : <CandidateCard candidate={item.candidate} />)}
              />
            )}
          </>
        )}
      </div>
    </Page>
  );
}

function PoolHead({ pool }: { pool: Pool }) {
  const listed = pool.candidates.length;
  const all = pool.active + pool.dropped;
  return (
    <p class="group-head">
      <bdi>{pool.name}</bdi>{" "}
      <span class="quiet">
        {formatCount(pool.active)} scraped, {formatCount(pool.dropped)} dropped
        {listed < all && `; ${formatCount(listed)} are listed`}
      </span>
    </p>
  );
}
