/** A target is scraped once, outside its schedule: the page as received, the line that is wrong, the samples that would be stored. */

import { useId, useState } from "preact/hooks";

import { get } from "../../api/client";
import type { ActiveTarget, ScrapedPage, ScrapedSample, TrialScrape } from "../../api/types";
import { useApi } from "../../api/useApi";
import { DataTable, type Column } from "../../components/DataTable";
import { Dialog } from "../../components/Dialog";
import { Duration } from "../../components/Duration";
import { Facts } from "../../components/Facts";
import { Failure } from "../../components/Failure";
import { SeriesName } from "../../components/LabelSet";
import { Notice } from "../../components/Notice";
import { NumberedLine } from "../../components/NumberedLine";
import { tabId, Tabs } from "../../components/Tabs";
import { formatBytes, formatCount, formatShown } from "../../lib/numbers";

export function TrialDialog({ target, onClose }: { target: ActiveTarget; onClose: () => void }) {
  const { scrapePool, scrapeUrl } = target;
  const asked = useApi(`trial ${scrapePool} ${scrapeUrl}`, (signal) =>
    get("/targets/scrape", { scrapePool, scrapeUrl }, { signal, isQuery: true }),
  );
  const scrape = asked.answer?.data;
  return (
    <Dialog title={`One scrape of ${target.globalUrl}`} class="wide" onClose={onClose}>
      <div class="trial-head">
        <p class="quiet">Nothing is stored, and the scheduled scrapes continue.</p>
        <button type="button" disabled={asked.isLoading} onClick={asked.reload}>
          {asked.isLoading ? "Scraping…" : "Scrape again"}
        </button>
      </div>
      <Failure error={asked.error} hasData={scrape !== undefined} />
      {scrape && <Scrape scrape={scrape} />}
    </Dialog>
  );
}

type View = "page" | "samples";

function Scrape({ scrape }: { scrape: TrialScrape }) {
  const id = useId();
  const { page, samples, error } = scrape;
  const [chosen, choose] = useState<View | null>(null);
  // What failed is in the page; otherwise the samples are what a scrape is for.
  const view = chosen ?? (page !== undefined && error !== "" ? "page" : "samples");
  const options: (readonly [View, string])[] = [
    ["samples", `Samples (${formatCount(scrape.samplesTotal)})`],
    ["page", "Page"],
  ];
  return (
    <>
      {error !== "" && (
        <Notice kind="error">
          <bdi>{error}</bdi>
        </Notice>
      )}
      <Facts label="The scrape" facts={facts(scrape)} />
      <Tabs label="Of the scrape" id={id} panelId={`${id}-panel`} value={view} options={options} onChange={choose} />
      <div id={`${id}-panel`} role="tabpanel" aria-labelledby={tabId(id, view)} class="trial-panel">
        {view === "page" ? <PageText page={page} /> : <Samples samples={samples} total={scrape.samplesTotal} />}
      </div>
    </>
  );
}

function facts(scrape: TrialScrape) {
  const { contentType, format, samplesScraped, samplesPostMetricRelabeling } = scrape;
  const dropped = samplesScraped - samplesPostMetricRelabeling;
  return [
    ["Took", <Duration ms={scrape.durationSeconds * 1000} />],
    ["Content-Type", contentType === undefined ? <span class="quiet">no answer with status 200</span> : <bdi>{contentType}</bdi>],
    ["Read as", format ?? <span class="quiet">nothing</span>],
    ["Size", formatBytes(scrape.bodyBytes)],
    [
      "Samples",
      `${formatCount(samplesScraped)}${dropped > 0 ? `, of which metric_relabel_configs drop ${formatCount(dropped)}` : ""}`,
    ],
  ] as const;
}

function PageText({ page }: { page: ScrapedPage | undefined }) {
  if (!page) return <p class="quiet">There is no page, or it is no text.</p>;
  const lines = page.text.replace(/\n$/, "").split("\n");
  return (
    <>
      {page.isCut && <p class="quiet">A part of the page, which is longer.</p>}
      <pre class="numbered trial-page" tabIndex={0} aria-label="Page">
        {lines.map((line, i) => {
          const number = page.firstLine + i;
          return (
            <NumberedLine key={number} number={number} isMarked={number === page.wrongLine}>
              {line}
            </NumberedLine>
          );
        })}
      </pre>
    </>
  );
}

const COLUMNS: readonly Column<ScrapedSample>[] = [
  { key: "series", title: "Series", width: "minmax(12rem, 4fr)", cell: ({ metric }) => <SeriesName labels={metric} /> },
  {
    key: "value",
    title: "Value",
    width: "minmax(5rem, 1fr)",
    align: "right",
    cell: ({ value }) => <bdi class="number">{value}</bdi>,
  },
  {
    key: "time",
    title: "Time of its own",
    width: "minmax(8rem, 1fr)",
    isExtra: true,
    cell: ({ timestamp }) => <span class="number quiet">{timestamp ?? ""}</span>,
  },
];

function Samples({ samples, total }: { samples: readonly ScrapedSample[]; total: number }) {
  return (
    <>
      {samples.length < total && <p class="quiet">{formatShown(samples.length, total, "samples")}</p>}
      <DataTable
        label="Samples"
        columns={COLUMNS}
        rows={samples}
        rowKey={(_, index) => index}
        class="trial-samples"
        empty="Nothing would be stored but up and its like."
      />
    </>
  );
}
