/** A target: where it is, its labels, its last scrape, and what was wrong with it. */

import { useState } from "preact/hooks";

import type { ActiveTarget } from "../../api/types";
import { Badge, type Tone } from "../../components/Badge";
import { Ago, Duration } from "../../components/Duration";
import { LabelSet } from "../../components/LabelSet";
import { formatSeries } from "../../lib/labels";
import { href } from "../../lib/router";
import type { Health } from "./filter";
import { TrialDialog } from "./TrialDialog";

const TONES: Readonly<Record<Health, Tone>> = { up: "good", down: "bad", unknown: "quiet" };

export function TargetRow({ target }: { target: ActiveTarget }) {
  const { health, globalUrl, labels, lastError, samplesOverLimit = 0 } = target;
  const [isTried, setIsTried] = useState(false);
  return (
    <div class={`target ${health}`}>
      <div class="target-line">
        <Badge tone={TONES[health]}>{health}</Badge>
        <Endpoint url={globalUrl} />
        <span class="target-facts">
          <Ago at={target.lastScrape} />
          {health !== "unknown" && (
            <>
              <span class="quiet">took</span> <Duration ms={target.lastScrapeDuration * 1000} />
            </>
          )}
          <span class="quiet">every {target.scrapeInterval}</span>
          <a data-page href={href(`/query?${samplesQuery(labels)}`)} title="Samples of each scrape, as a graph">
            samples
          </a>
          <button type="button" class="link" title="Scrape it once and show what it says" onClick={() => setIsTried(true)}>
            scrape once
          </button>
        </span>
      </div>
      <LabelSet labels={labels} />
      {lastError !== "" && (
        <p class="target-error">
          <bdi>{lastError}</bdi>
        </p>
      )}
      {samplesOverLimit > 0 && <p class="target-warning">{samplesOverLimit} samples were left out by limits.</p>}
      <details class="target-discovered">
        <summary>Discovered labels</summary>
        <LabelSet labels={target.discoveredLabels} />
      </details>
      {isTried && <TrialDialog target={target} onClose={() => setIsTried(false)} />}
    </div>
  );
}

/** A link only to what a browser can show; an address of another kind stays text. */
function Endpoint({ url }: { url: string }) {
  const isLink = /^https?:\/\//i.test(url);
  const text = <bdi>{url}</bdi>;
  return isLink ? (
    <a class="target-url" href={url} target="_blank" rel="noreferrer noopener">
      {text}
    </a>
  ) : (
    <span class="target-url">{text}</span>
  );
}

function samplesQuery(labels: ActiveTarget["labels"]): string {
  const query = formatSeries({ __name__: "scrape_samples_scraped", ...labels });
  return new URLSearchParams({ "g0.expr": query, "g0.tab": "graph" }).toString();
}
