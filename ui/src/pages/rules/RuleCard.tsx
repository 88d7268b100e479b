/** A rule: its expression, its state, and on request what the server knows of its evaluations. */

import { useState } from "preact/hooks";

import { get } from "../../api/client";
import type { ExplainedRule, Rule, RuleGroup } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Badge, type Tone } from "../../components/Badge";
import { Ago, Duration } from "../../components/Duration";
import { Failure } from "../../components/Failure";
import { LabelSet } from "../../components/LabelSet";
import { Notice } from "../../components/Notice";
import { QueryLink } from "../../components/QueryLink";
import { humanDuration } from "../../lib/duration";
import { formatCount } from "../../lib/numbers";

const HEALTH: Readonly<Record<Rule["health"], Tone>> = { ok: "good", err: "bad", unknown: "quiet" };
const WORDS: Readonly<Record<Rule["health"], string>> = { ok: "ok", err: "error", unknown: "not yet evaluated" };

export function RuleCard({ rule, group }: { rule: Rule; group: RuleGroup }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <div class={`card ${rule.health === "err" ? "bad" : ""}`}>
      <div class="card-line">
        <span class="quiet">{rule.type === "alerting" ? "alert" : "record"}</span>
        <strong>
          <bdi>{rule.name}</bdi>
        </strong>
        <Badge tone={HEALTH[rule.health]}>{WORDS[rule.health]}</Badge>
        <span class="card-facts">
          <Ago at={rule.lastEvaluation} />, took <Duration ms={rule.evaluationTime * 1000} />
        </span>
      </div>
      <QueryLink expression={rule.query} />
      {rule.type === "alerting" && rule.duration > 0 && <span class="quiet"> for {humanDuration(rule.duration * 1000)}</span>}
      {Object.keys(rule.labels).length > 0 && (
        <div>
          <LabelSet labels={rule.labels} />
        </div>
      )}
      {rule.lastError !== undefined && (
        <p class="fault">
          <bdi>{rule.lastError}</bdi>
        </p>
      )}
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Why, and the last evaluations</summary>
        {isOpen && <Evaluations name={rule.name} group={group} />}
      </details>
    </div>
  );
}

function Evaluations({ name, group }: { name: string; group: RuleGroup }) {
  const told = useApi(`rule ${name}`, (signal) => get("/explain", { rule: name }, { signal }));
  const data = told.answer?.data;
  const all: readonly ExplainedRule[] = data !== undefined && "rules" in data ? data.rules : [];
  const mine = all.filter((one) => one.group === group.name && one.file === group.file);
  return (
    <>
      <Failure error={told.error} hasData={data !== undefined} />
      {mine.map((one, i) => (
        <div key={i}>
          <p>
            <bdi>{one.sentence}</bdi>
          </p>
          {one.unmatched.map(({ selector, reason }) => (
            <Notice key={selector} kind="warning">
              <bdi class="mono">{selector}</bdi> <bdi>{reason}</bdi>
            </Notice>
          ))}
          <ul class="plain-list">
            {one.evaluations.slice(0, 10).map(({ time, durationSeconds, samples, error }) => (
              <li key={time}>
                <Ago at={time} />, took <Duration ms={durationSeconds * 1000} />, {formatCount(samples)} samples
                {error !== undefined && (
                  <span class="fault">
                    {" "}
                    <bdi>{error}</bdi>
                  </span>
                )}
              </li>
            ))}
          </ul>
        </div>
      ))}
    </>
  );
}
