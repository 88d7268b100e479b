/** All rules, by group: what each does, how its last evaluation went, and why it may do nothing. */

import { useMemo } from "preact/hooks";

import { get } from "../../api/client";
import type { Rule, RuleGroup } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Ago, Duration } from "../../components/Duration";
import { Failure } from "../../components/Failure";
import { Page } from "../../components/Page";
import { SearchInput } from "../../components/SearchInput";
import { VirtualList } from "../../components/VirtualList";
import { humanDuration } from "../../lib/duration";
import { formatCount } from "../../lib/numbers";
import { param, setParam } from "../../lib/router";
import { filteredGroups, shortFile } from "./filter";
import { RuleCard } from "./RuleCard";

type Item = { group: RuleGroup } | { rule: Rule; of: RuleGroup; index: number };

export default function RulesPage() {
  const rules = useApi("rules", (signal) => get("/rules", { exclude_alerts: true }, { signal }), { everyMs: 10_000 });
  const groups = rules.answer?.data.groups;
  const [text, isFailing] = [param("search"), param("health") === "err"];
  const items = useMemo((): Item[] => {
    const shown = filteredGroups(groups ?? [], { text, isFailing });
    return shown.flatMap((group) => [{ group }, ...group.rules.map((rule, index) => ({ rule, of: group, index }))]);
  }, [groups, text, isFailing]);
  const n = items.filter((item) => "rule" in item).length;
  const failing = (groups ?? []).flatMap((group) => group.rules).filter(({ health }) => health === "err").length;
  return (
    <Page
      title="Rules"
      beside={
        <div class="filters">
          <button type="button" aria-pressed={isFailing} onClick={() => setParam("health", isFailing ? "" : "err")}>
            failing {formatCount(failing)}
          </button>
          <SearchInput label="Filter by name, query, label or file" value={text} onInput={(value) => setParam("search", value)} />
        </div>
      }
    >
      <Failure error={rules.error} hasData={groups !== undefined} />
      {groups && (
        <p class="quiet count" role="status">
          {groups.length === 0
            ? "There are no rules: neither rule_files nor PrometheusRule objects have any."
            : `${formatCount(n)} rules`}
        </p>
      )}
      {items.length > 0 && (
        <VirtualList
          items={items}
          estimate={72}
          label="Rules"
          class="fill"
          itemKey={(item) =>
            "group" in item
              ? `group ${item.group.file} ${item.group.name}`
              : `${item.of.file} ${item.of.name} ${item.index} ${item.rule.name}`
          }
          row={(item) => ("group" in item ? <GroupHead group={item.group} /> : <RuleCard rule={item.rule} group={item.of} />)}
        />
      )}
    </Page>
  );
}

function GroupHead({ group }: { group: RuleGroup }) {
  const { backfill } = group;
  return (
    <div class="card-line group-head">
      <bdi>{group.name}</bdi>
      <bdi class="quiet" title={group.file}>
        {shortFile(group.file)}
      </bdi>
      <span class="card-facts">
        every {humanDuration(group.interval * 1000)}, <Ago at={group.lastEvaluation} />, took{" "}
        <Duration ms={group.evaluationTime * 1000} />
        {backfill &&
          `, history ${backfill.state === "complete" ? "computed" : `computed for ${formatCount(backfill.evaluations ?? 0)} of ${formatCount(backfill.evaluationsTotal ?? 0)} times`}`}
      </span>
    </div>
  );
}
