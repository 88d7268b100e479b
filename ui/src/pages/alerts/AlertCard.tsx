/** An alerting rule with its alerts, and what it would have fired of late. */

import { useState } from "preact/hooks";

import { get } from "../../api/client";
import type { Alert } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Badge, type Tone } from "../../components/Badge";
import { DataTable, type Column } from "../../components/DataTable";
import { Ago } from "../../components/Duration";
import { Failure } from "../../components/Failure";
import { LabelSet } from "../../components/LabelSet";
import { QueryLink } from "../../components/QueryLink";
import { humanDuration } from "../../lib/duration";
import { formatSeries } from "../../lib/labels";
import { parseValue } from "../../lib/numbers";
import { stateOf, type AlertRule, type AlertState } from "./alerts";

const TONES: Readonly<Record<AlertState, Tone>> = { firing: "bad", pending: "warn", inactive: "good" };

const COLUMNS: readonly Column<Alert>[] = [
  {
    key: "labels",
    title: "Labels",
    width: "minmax(9rem, 3fr)",
    cell: ({ labels }) => <LabelSet labels={labels} />,
    sort: ({ labels }) => formatSeries(labels),
  },
  {
    key: "state",
    title: "State",
    width: "6rem",
    cell: ({ state }) => <Badge tone={TONES[state]}>{state}</Badge>,
    sort: ({ state }) => state,
  },
  {
    key: "since",
    title: "Since",
    width: "8rem",
    cell: ({ activeAt }) => <Ago at={activeAt} />,
    sort: ({ activeAt }) => activeAt,
    isExtra: true,
  },
  {
    key: "value",
    title: "Value",
    width: "8rem",
    align: "right",
    cell: ({ value }) => value,
    sort: ({ value }) => parseValue(value),
  },
];

export function AlertCard({ alert }: { alert: AlertRule }) {
  const { rule, group } = alert;
  const [isReplayed, setReplayed] = useState(false);
  const state = stateOf(alert);
  const alerts = rule.alerts ?? [];
  return (
    <div class={`card ${TONES[state]}`}>
      <div class="card-line">
        <Badge tone={TONES[state]}>{alerts.length > 0 ? `${state} ${alerts.length}` : state}</Badge>
        <strong>
          <bdi>{rule.name}</bdi>
        </strong>
        <bdi class="quiet">{group.name}</bdi>
        <span class="card-facts">
          {rule.duration > 0 && `for ${humanDuration(rule.duration * 1000)}`}
          {rule.keepFiringFor > 0 && `, kept for ${humanDuration(rule.keepFiringFor * 1000)}`}
        </span>
      </div>
      <QueryLink expression={rule.query} />
      {rule.lastError !== undefined && (
        <p class="fault">
          <bdi>{rule.lastError}</bdi>
        </p>
      )}
      {alerts.length > 0 && (
        <DataTable
          label={`Alerts of ${rule.name}`}
          columns={COLUMNS}
          rows={alerts}
          rowKey={({ labels }) => formatSeries(labels)}
        />
      )}
      <details>
        <summary>Labels and annotations</summary>
        <LabelSet labels={rule.labels} />
        {Object.entries(rule.annotations).map(([name, value]) => (
          <p key={name}>
            <span class="quiet">{name}</span> <bdi>{value}</bdi>
          </p>
        ))}
      </details>
      <details onToggle={(event) => setReplayed(event.currentTarget.open)}>
        <summary>Would have fired in the last day</summary>
        {isReplayed && <Replay alert={alert} />}
      </details>
    </div>
  );
}

/** A dry run over what is stored. */
function Replay({ alert: { rule, group } }: { alert: AlertRule }) {
  const params = { "rule_name[]": [rule.name], "rule_group[]": [group.name], "file[]": [group.file] };
  const replay = useApi(`replay ${group.file} ${group.name} ${rule.name}`, (signal) =>
    get("/rules/replay", params, { signal, isQuery: true }),
  );
  const found = replay.answer?.data.groups.flatMap(({ rules }) => rules);
  return (
    <>
      <Failure error={replay.error} hasData={found !== undefined} />
      {replay.isLoading && found === undefined && <p class="quiet">It is computed from what is stored.</p>}
      {found?.map((one, i) => (
        <div key={i}>
          <p>
            <bdi>{one.sentence}</bdi>
          </p>
          <ul class="plain-list">
            {(one.firings ?? []).map((firing, k) => (
              <li key={k}>
                <Ago at={firing.firedAt} /> <LabelSet labels={firing.labels} />
              </li>
            ))}
          </ul>
        </div>
      ))}
    </>
  );
}
