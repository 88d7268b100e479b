/** Something that discovery found: its labels before and after, and the labels after each rule on request. */

import { useState } from "preact/hooks";

import { get } from "../../api/client";
import type { RelabelStep } from "../../api/types";
import { useApi } from "../../api/useApi";
import { Badge } from "../../components/Badge";
import { Failure } from "../../components/Failure";
import { LabelSet } from "../../components/LabelSet";
import { pairs, type Labels } from "../../lib/labels";
import type { Candidate } from "./candidates";

export function CandidateCard({ candidate: { pool, discovered, labels } }: { candidate: Candidate }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <div class={`card ${labels ? "good" : ""}`}>
      <div class="card-line">
        <Badge tone={labels ? "good" : "quiet"}>{labels ? "scraped" : "dropped"}</Badge>
        <LabelSet labels={labels ?? shortOf(discovered)} />
      </div>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>Discovered labels, and what each relabel rule makes of them</summary>
        <LabelSet labels={discovered} />
        {isOpen && <Steps pool={pool} discovered={discovered} />}
      </details>
    </div>
  );
}

/** What names it best, of many labels. */
function shortOf(discovered: Labels): Labels {
  const names = [
    "__address__",
    "__meta_kubernetes_namespace",
    "__meta_kubernetes_pod_name",
    "__meta_kubernetes_service_name",
    "__meta_kubernetes_node_name",
  ];
  return Object.fromEntries(pairs(discovered).filter(([name]) => names.includes(name)));
}

function Steps({ pool, discovered }: { pool: string; discovered: Labels }) {
  const asked = { scrapePool: pool, labels: JSON.stringify(discovered) };
  const told = useApi(`steps ${pool} ${asked.labels}`, (signal) => get("/targets/relabel_steps", asked, { signal }));
  const steps = told.answer?.data.steps;
  // After the rule that drops it nothing happens any more.
  const last = steps?.findIndex(({ keep }) => !keep) ?? -1;
  const shown = last < 0 ? steps : steps?.slice(0, last + 1);
  return (
    <>
      <Failure error={told.error} hasData={steps !== undefined} />
      {shown?.length === 0 && <p class="quiet">The job has no relabel rules.</p>}
      <ol>
        {shown?.map((step, i) => (
          <li key={i}>
            <code class="wrap">{ruleText(step.rule)}</code>{" "}
            {step.keep ? (
              <Changes before={i === 0 ? discovered : (shown[i - 1]?.output ?? {})} after={step.output} />
            ) : (
              <Badge tone="bad">drops it</Badge>
            )}
          </li>
        ))}
      </ol>
    </>
  );
}

/** `keep [__meta_kubernetes_pod_label_app] =~ "web"` */
export function ruleText({ action, source_labels = [], regex, modulus, target_label, replacement }: RelabelStep["rule"]): string {
  const source = source_labels.length > 0 ? ` [${source_labels.join(", ")}]` : "";
  const condition = regex === "(.*)" ? "" : ` =~ ${JSON.stringify(regex)}`;
  const target = target_label === undefined ? "" : ` → ${target_label}`;
  const value = replacement === "$1" ? "" : ` = ${JSON.stringify(replacement)}`;
  return `${action}${source}${condition}${modulus === undefined ? "" : ` mod ${modulus}`}${target}${value}`;
}

/** The labels that a rule has set or taken away. */
function Changes({ before, after }: { before: Labels; after: Labels }) {
  const set = Object.fromEntries(pairs(after).filter(([name, value]) => before[name] !== value));
  const gone = pairs(before).filter(([name]) => after[name] === undefined);
  if (pairs(set).length === 0 && gone.length === 0) return <span class="quiet">changes nothing</span>;
  return (
    <>
      <LabelSet labels={set} />
      {gone.length > 0 && <span class="quiet">without {gone.map(([name]) => name).join(", ")}</span>}
    </>
  );
}
