/** A monitor: its state, the targets of its jobs, and on request the whole explanation. */

import { useState } from "preact/hooks";

import { get } from "../../api/client";
import type { ExplainedJob, Monitor } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Badge, type Tone } from "../../components/Badge";
import { Failure } from "../../components/Failure";
import { formatCount } from "../../lib/numbers";
import { href } from "../../lib/router";
import { targets, troubles } from "./filter";

const WORDS: Readonly<Record<Monitor["state"], readonly [Tone, string]>> = {
  accepted: ["good", "selected"],
  invalid: ["bad", "invalid"],
  notSelected: ["warn", "not selected"],
  pending: ["quiet", "pending"],
};
const STATES = ["up", "down", "unknown", "dropped"] as const;

export function MonitorCard({ monitor }: { monitor: Monitor }) {
  const [isOpen, setOpen] = useState(false);
  const [tone, word] = WORDS[monitor.state];
  const hasTrouble = troubles(monitor).length > 0;
  return (
    <div class={`card ${hasTrouble ? (tone === "good" ? "warn" : tone) : tone}`}>
      <div class="card-line">
        <Badge tone={tone}>{word}</Badge>
        <span class="quiet">{monitor.kind}</span>
        <strong>
          <bdi>
            {monitor.namespace}/{monitor.name}
          </bdi>
        </strong>
        {monitor.kind !== "PrometheusRule" && (
          <span class="card-facts">
            {STATES.map(
              (state) => (state === "up" || targets(monitor, state) > 0) && ` ${formatCount(targets(monitor, state))} ${state}`,
            )}
            {monitor.jobs.length > 0 && (
              <>
                {" "}
                <a
                  data-page
                  href={href(
                    `/targets?${new URLSearchParams(monitor.jobs.length === 1 ? { pool: monitor.jobs[0] ?? "" } : { search: monitor.name }).toString()}`,
                  )}
                >
                  targets
                </a>
              </>
            )}
          </span>
        )}
      </div>
      {monitor.reason !== undefined && (
        <p class={monitor.state === "invalid" ? "fault" : ""}>
          <bdi>{monitor.reason}</bdi>
        </p>
      )}
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Why</summary>
        {isOpen && <Explanation monitor={monitor} />}
      </details>
    </div>
  );
}

function Explanation({ monitor: { kind, namespace, name } }: { monitor: Monitor }) {
  const which = `${namespace}/${name}`;
  const asked = kind === "PrometheusRule" ? { rule: which } : { monitor: which, kind };
  const told = useApi(`explain ${kind} ${which}`, (signal) => get("/explain", asked, { signal }), { everyMs: 10_000 });
  const data = told.answer?.data;
  return (
    <>
      <Failure error={told.error} hasData={data !== undefined} />
      {data !== undefined && "sentence" in data && (
        <>
          <p>
            <bdi>{data.sentence}</bdi>
          </p>
          {data.jobs?.map((job) => (
            <Job key={job.job} job={job} />
          ))}
          {data.groups?.map((group) => (
            <p key={group.group}>
              <bdi class="quiet">{group.group}</bdi> <bdi>{group.sentence}</bdi>
            </p>
          ))}
        </>
      )}
    </>
  );
}

/** What a job looked for, and where what it found was dropped. */
function Job({ job }: { job: ExplainedJob }) {
  return (
    <section aria-label={job.job}>
      <p class="group-head">
        <bdi>{job.job}</bdi>
      </p>
      <ul class="plain-list">
        {job.discovery.map((place) => (
          <li key={place}>
            Looks for <bdi>{place}</bdi>: {formatCount(job.candidates)} found.
          </li>
        ))}
        {job.discoveryErrors.map((error) => (
          <li key={error} class="fault">
            <bdi>{error}</bdi>
          </li>
        ))}
        {job.rules.map((rule) => (
          <li key={rule.index}>
            {rule.field !== undefined && <code>{rule.field}</code>} <bdi class="mono">{rule.rule}</bdi> dropped{" "}
            {formatCount(rule.dropped)}; it saw{" "}
            {Object.entries(rule.values).map(([value, n], i) => (
              <span key={value}>
                {i > 0 && ", "}
                <bdi class="mono">{JSON.stringify(value)}</bdi> {formatCount(n)} times
              </span>
            ))}
            .
          </li>
        ))}
        {job.unmatchedRules.map((rule) => (
          <li key={rule}>
            <bdi>{rule}</bdi>
          </li>
        ))}
        {job.invalid.map((reason) => (
          <li key={reason} class="fault">
            <bdi>{reason}</bdi>
          </li>
        ))}
        {job.targets.map(({ url, health, lastError }) => (
          <li key={url}>
            <Badge tone={health === "up" ? "good" : health === "down" ? "bad" : "quiet"}>{health}</Badge>{" "}
            <bdi class="mono">{url}</bdi>
            {lastError !== undefined && (
              <span class="fault">
                {" "}
                <bdi>{lastError}</bdi>
              </span>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
