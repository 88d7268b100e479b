/**
 * The views that are looked at as a whole: whether everyone can use them, whether hostile texts stay texts, how they look. Who
 * adds a page adds it here.
 */

import { queryPath } from "./browser.mjs";

/** A view: its name, its path, and what is there once it is ready. */
export const VIEWS = [
  { name: "query", path: "/query", ready: ".query-editor .cm-content" },
  { name: "query-table", path: queryPath("hostile"), ready: ".result .vl-row" },
  {
    name: "query-graph",
    path: queryPath("sum by (code) (rate(http_requests_total[10s]))", { tab: "graph", range_input: "1m" }),
    ready: ".legend .vl-row",
  },
  { name: "query-hostile-graph", path: queryPath("hostile", { tab: "graph", range_input: "1m" }), ready: ".legend .vl-row" },
  {
    name: "query-explain",
    path: queryPath("sum by (code) (rate(http_requests_total[10s]))", { tab: "explain" }),
    ready: ".plan tbody tr",
  },
  { name: "query-error", path: queryPath('rate(hostile{html="<img src=x onerror=alert(1)>"})'), ready: ".place" },
  { name: "query-empty", path: queryPath("http_requests_totl"), ready: ".fixes button" },
  {
    name: "metrics",
    path: "/query",
    ready: ".explorer .vl-row",
    open: (page) => page.getByRole("button", { name: "Metrics" }).click(),
  },
  { name: "keys", path: "/query", ready: ".keys", open: (page) => page.getByRole("button", { name: "Help" }).click() },
  { name: "targets", path: "/targets", ready: ".target" },
  {
    name: "targets-trial",
    path: "/targets?pool=garbled",
    ready: ".numbered-line.marked",
    open: (page) => page.getByRole("button", { name: "scrape once" }).click(),
  },
  {
    name: "targets-trial-samples",
    path: "/targets?pool=app",
    ready: ".trial-samples .vl-row",
    open: (page) => page.getByRole("button", { name: "scrape once" }).click(),
  },
  { name: "flags", path: "/flags", ready: ".dt .vl-row" },
  { name: "alerts", path: "/alerts", ready: ".card.bad .dt .vl-row" },
  {
    name: "alerts-replay",
    path: "/alerts?search=hostile",
    ready: ".card .plain-list",
    open: (page) => page.getByText("Would have fired").click(),
  },
  { name: "rules", path: "/rules", ready: ".card.bad" },
  { name: "rules-why", path: "/rules?search=dead", ready: ".card .notice", open: (page) => page.getByText("Why, and").click() },
  { name: "discovery", path: "/service-discovery", ready: ".card.good" },
  {
    name: "discovery-steps",
    path: "/service-discovery?state=dropped",
    ready: ".card ol li",
    open: (page) => page.getByText("what each relabel rule").first().click(),
  },
  { name: "discovery-sources", path: "/service-discovery?tab=sources", ready: ".card, p.quiet" },
  { name: "monitors", path: "/monitors", ready: "code" },
  { name: "alertmanagers", path: "/alertmanager-discovery", ready: ".dt .vl-row" },
  { name: "tsdb", path: "/tsdb-status", ready: ".dt .vl-row" },
  { name: "tsdb-usage", path: "/tsdb-status?tab=usage", ready: ".dt" },
  { name: "tsdb-labels", path: "/tsdb-status?tab=labels", ready: ".dt .vl-row" },
  { name: "queries", path: "/queries", ready: ".dt .vl-row" },
  { name: "config", path: "/config?search=broken", ready: ".numbered-line mark" },
  { name: "status", path: "/status", ready: ".facts" },
];

/** Opens a view and waits until it is ready. */
export async function openView(open, view, options) {
  const page = await open(view.path, options);
  if (view.open) await view.open(page);
  await page.locator(view.ready).first().waitFor();
  // The editor comes after the page.
  if (view.path.startsWith("/query")) await page.locator(".query-editor .cm-content").first().waitFor();
  return page;
}
