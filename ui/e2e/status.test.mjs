/** A person's ways through the pages below Status, and the alerts. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { browserTests } from "./browser.mjs";

const { open } = browserTests();

test("from a firing alert to its query and back", async () => {
  const page = await open("/alerts");
  await page.getByRole("button", { name: /^firing/ }).click();
  const card = page.locator(".card.bad");
  await card.first().waitFor();
  // Every card that is left fires.
  assert.equal(await page.locator(".card.good, .card.warn").count(), 0);
  await card.first().getByText("Labels and annotations").click();
  await card.first().getByText("<b>summary</b>").waitFor();
  await card.first().locator("a.expression").click();
  await page.locator(".query-editor .cm-content").waitFor();
  assert.match(await page.locator(".cm-content").textContent(), /hostile/);
  await page.goBack();
  await card.first().waitFor();
});

test("a dead rule says which of its selectors matches nothing", async () => {
  const page = await open("/rules?search=dead");
  await page.getByText("Why, and the last evaluations").click();
  await page.getByText("no_such_metric", { exact: false }).first().waitFor();
  const failing = await open("/rules");
  await failing.getByRole("button", { name: /^failing/ }).click();
  await failing.locator(".card.bad .fault").first().waitFor();
  assert.equal(await failing.locator(".card:not(.bad)").count(), 0);
});

test("a dropped target names the rule that dropped it", async () => {
  const page = await open("/service-discovery?state=dropped");
  await page.getByText("what each relabel rule makes").first().click();
  await page.getByText("drops it").waitFor();
  assert.match(await page.locator(".card ol li").last().textContent(), /drop \[__address__\]/);
});

test("a line of the configuration is found and linked", async () => {
  const page = await open("/config?search=job_name");
  const hit = page.locator(".numbered-line", { has: page.locator("mark") }).first();
  await hit.waitFor();
  const number = await hit.locator(".line-number").textContent();
  const linked = await open(`/config?line=${number}`);
  assert.equal(await linked.locator(".numbered-line.marked .line-number").textContent(), number);
});

test("a query that runs is shown and can be ended", async () => {
  const page = await open("/queries");
  await page.getByRole("tab", { name: "How often" }).click();
  await page.locator("#by-panel .dt .vl-row").first().waitFor();
  assert.match(page.url(), /by=topByCount/);
});

test("series are counted by any label, and lead to a query", async () => {
  const page = await open("/tsdb-status");
  await page.locator("#tsdb-panel .dt .vl-row").first().waitFor();
  await page.getByRole("combobox", { name: "Label" }).fill("job");
  await page.getByRole("combobox", { name: "Label" }).press("Enter");
  await page.getByRole("link", { name: "wide" }).click();
  await page.locator(".result .vl-row").first().waitFor();
});

test("cards that are opened one after another lie one below another", async () => {
  const page = await open("/rules");
  const whys = page.getByText("Why, and the last evaluations");
  await whys.first().waitFor();
  const opened = Math.min(4, await whys.count());
  for (let i = 0; i < opened; i++) await whys.nth(i).click();
  // Each has asked the server for what it shows.
  await page.waitForFunction((n) => document.querySelectorAll(".vl-row details[open] p bdi").length >= n, opened);
  const overlaps = await page.evaluate(async () => {
    // Heights are noted between two frames.
    for (let i = 0; i < 3; i++) await new Promise((drawn) => requestAnimationFrame(drawn));
    const rows = [...document.querySelectorAll(".vl-row")].map((row) => row.getBoundingClientRect());
    rows.sort((a, b) => a.top - b.top);
    return rows.slice(1).filter((row, i) => row.top < rows[i].bottom - 0.5).length;
  });
  assert.equal(overlaps, 0);
});
