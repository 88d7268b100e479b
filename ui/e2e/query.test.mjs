/** A person's ways through the query page. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { browserTests, queryPath, SERVER, write } from "./browser.mjs";

const { open } = browserTests();

test("a query is written, completed, run, and found again in its link", async () => {
  const page = await open("/");
  assert.equal(new URL(page.url()).pathname, "/query");
  const editor = await write(page, "");
  await editor.pressSequentially("http_requests_to", { delay: 20 });
  await page.locator(".cm-tooltip-autocomplete li", { hasText: "http_requests_total" }).first().waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Control+Enter");
  await page.locator(".result .vl-row").first().waitFor();
  assert.equal(new URL(page.url()).searchParams.get("g0.expr"), "http_requests_total");
  await page.reload();
  await page.locator(".result .metric-name", { hasText: "http_requests_total" }).first().waitFor();
});

test("links of Prometheus 2 and 3 show the same graph", async () => {
  for (const path of [
    "/graph?g0.expr=up&g0.tab=0&g0.stacked=1&g0.range_input=2h",
    "/query?g0.expr=up&g0.tab=graph&g0.display_mode=stacked&g0.range_input=2h&g0.res_type=auto&g0.res_density=medium",
  ]) {
    const page = await open(path);
    await page.locator(".legend .vl-row").first().waitFor();
    assert.equal(await page.getByRole("textbox", { name: "Range" }).inputValue(), "2h");
    assert.equal(await page.getByRole("button", { name: "Stacked" }).getAttribute("aria-pressed"), "true");
  }
});

test("an error stands under its place, and a range that is missing is one click", async () => {
  const page = await open(queryPath("sum(rate(http_requests_total))"));
  assert.equal(await page.locator(".place-before").textContent(), "sum(rate(");
  await page.getByRole("button", { name: "Add [5m]" }).click();
  await page.locator(".result .vl-row").first().waitFor();
  assert.equal(new URL(page.url()).searchParams.get("g0.expr"), "sum(rate(http_requests_total[5m]))");
});

test("typographic quotes are named before the query is run", async () => {
  const page = await open("/query");
  await write(page, "up{job=“app”}");
  await page.getByRole("button", { name: "Put plain ones" }).click();
  await page.getByRole("button", { name: "Run" }).click();
  await page.locator(".result .vl-row").first().waitFor();
});

test("from an empty graph to the misspelt metric, label and value", async () => {
  const slips = [
    ['http_request_total{code="200"}', "Use http_requests_total"],
    ['http_requests_total{coed="200"}', "Use code"],
    ['http_requests_total{code="20"}', "Use 200"],
  ];
  for (const [expr, fix] of slips) {
    const page = await open(queryPath(expr, { tab: "graph", range_input: "1m" }));
    await page.getByRole("button", { name: fix }).click();
    await page.locator(".legend .vl-row").first().waitFor();
    assert.equal(new URL(page.url()).searchParams.get("g0.expr"), 'http_requests_total{code="200"}');
  }
});

test("a warning stands where it occurred", async () => {
  const page = await open(queryPath("rate(not_a_counter[1m])"));
  await page.locator(".notice.info", { hasText: "might not be a counter" }).waitFor();
  assert.equal(await page.locator(".place-before").textContent(), "rate(");
});

test("the plan shows what each part cost", async () => {
  const page = await open(queryPath("sum(rate(http_requests_total[10s]))", { tab: "explain" }));
  await page.locator(".plan tbody tr").first().waitFor();
  assert.match(await page.locator(".plan").textContent(), /aggregation sum.*function rate.*range selector/s);
  assert.equal(await page.locator(".plan meter").count(), await page.locator(".plan tbody tr").count());
});

test("dragging over a graph zooms, and the step back is the browser's", async () => {
  const page = await open(queryPath("up", { tab: "graph", range_input: "1h" }));
  const plot = page.locator(".u-over");
  await plot.waitFor();
  const box = await plot.boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + 100);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width - 10, box.y + 120, { steps: 5 });
  await page.mouse.up();
  await page.waitForFunction(() => !new URLSearchParams(location.search).get("g0.range_input").startsWith("1h"));
  assert.notEqual(new URL(page.url()).searchParams.get("g0.end_input"), null);
});

test("the legend shows one line alone, and all again", async () => {
  const page = await open(queryPath("http_requests_total", { tab: "graph", range_input: "1m" }));
  const lines = page.locator(".legend-line");
  await lines.nth(1).waitFor();
  await lines.first().click();
  assert.deepEqual(await lines.evaluateAll((all) => all.slice(0, 2).map((line) => line.getAttribute("aria-pressed"))), [
    "true",
    "false",
  ]);
  await lines.first().click();
  assert.deepEqual(await lines.evaluateAll((all) => all.slice(0, 2).map((line) => line.getAttribute("aria-pressed"))), [
    "true",
    "true",
  ]);
  await page.getByRole("searchbox", { name: "Filter series" }).fill('code="500"');
  await page.waitForFunction(() => document.querySelectorAll(".legend-line").length === 1);
});

test("a heat map of a classic histogram", async () => {
  const page = await open(
    queryPath("sum by (le) (latency_seconds_bucket)", { tab: "graph", range_input: "1m", display_mode: "heatmap" }),
  );
  await page.getByRole("img", { name: "Heat map" }).locator("canvas").waitFor();
});

test("5,000 series of 20 points each are drawn and listed", async () => {
  const began = performance.now();
  const page = await open(
    queryPath("sin(wide @ end() + time() / 60)", { tab: "graph", range_input: "20m", res_type: "custom", res_step: "60" }),
  );
  await page.getByRole("columnheader", { name: "Series (5000)" }).waitFor();
  const took = Math.round(performance.now() - began);
  assert.ok((await page.locator(".legend .vl-row").count()) < 100);
  // A scroll and a move of the pointer that are answered while everything is shown.
  const frames = await page.evaluate(async () => {
    const list = document.querySelector(".legend .vl");
    const times = [];
    for (let i = 0; i < 30; i++) {
      const start = performance.now();
      list.scrollTop += 400;
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      times.push(performance.now() - start);
    }
    return times.sort((a, b) => a - b);
  });
  console.log(
    `# 5,000 series, 105,000 points: shown after ${took} ms; a step of scrolling took ${Math.round(frames[15])} ms (median), ${Math.round(frames[29])} ms (worst)`,
  );
});

test("several panels, the earlier query by a key, metrics by a click", async () => {
  const page = await open(queryPath("up"));
  await page.locator(".result .vl-row").first().waitFor();
  await page.getByRole("button", { name: "Add query" }).click();
  const editor = await write(page, "", 2);
  await editor.press("Alt+ArrowUp");
  await page.waitForFunction(
    () => document.querySelectorAll(".query-editor")[1]?.shadowRoot.querySelector(".cm-content").textContent === "up",
  );
  await editor.fill("");
  await page.getByRole("region", { name: "Query 2" }).getByRole("button", { name: "Metrics" }).click();
  await page.getByRole("searchbox", { name: "Search names and help" }).fill("requests handled");
  await page.getByRole("button", { name: "http_requests_total" }).click();
  await page.getByRole("region", { name: "Query 2" }).getByRole("button", { name: "Run" }).click();
  await page.getByRole("region", { name: "Query 2" }).locator(".result .vl-row").first().waitFor();
  const params = new URL(page.url()).searchParams;
  assert.deepEqual([params.get("g0.expr"), params.get("g1.expr")], ["up", "http_requests_total"]);
});

test("keys: / to the editor, ? for help, Escape", async () => {
  const page = await open("/query");
  await page.locator(".query-editor .cm-content").waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("1 + 1");
  await page.keyboard.press("Enter");
  await page.locator(".result", { hasText: "2" }).waitFor();
  // The first closes completions, if any are open.
  do await page.keyboard.press("Escape");
  while (await page.evaluate(() => document.activeElement !== document.body));
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog", { name: "Keys" }).waitFor({ state: "detached" });
});

test("the time of a table is written in the zone that is chosen", async () => {
  const page = await open(queryPath("time()", { moment_input: "2026-01-31 12:00:00" }));
  const time = page.getByRole("textbox", { name: "Evaluation time" });
  assert.equal(await time.inputValue(), "2026-01-31 13:00:00");
  await page.getByRole("button", { name: "UTC" }).click();
  // Drawn in the frame after the click.
  await page.waitForFunction((input) => input.value !== "2026-01-31 13:00:00", await time.elementHandle());
  assert.equal(await time.inputValue(), "2026-01-31 12:00:00");
  await page.locator(".result", { hasText: "1769860800" }).waitFor();
});

test("a server that is gone, and then wants to know who asks: said, kept, and gone on with", async () => {
  const page = await open(queryPath("up"));
  await page.locator(".result .vl-row").first().waitFor();
  let status = 0;
  await page.route(`${SERVER}/api/**`, (route) =>
    status === 0 ? route.abort("connectionrefused") : status === 200 ? route.continue() : route.fulfill({ status }),
  );
  await page.getByRole("button", { name: "Run" }).click();
  await page.locator(".banners", { hasText: "does not answer" }).waitFor();
  assert.ok((await page.locator(".result .vl-row").count()) > 0, "what was shown stays");
  status = 401;
  await page.locator(".banners", { hasText: "401" }).waitFor();
  status = 200;
  await page.locator(".banners .notice").waitFor({ state: "detached" });
  await page.locator(".outcome .notice").waitFor({ state: "detached" });
});

test("an exemplar under the pointer shows its trace", async () => {
  const page = await open(queryPath("traced_total", { tab: "graph", range_input: "1m", show_exemplars: "1" }));
  // Where the diamond is, in CSS pixels: it is the only thing of its colour.
  const diamond = await page.waitForFunction(() => {
    const canvas = document.querySelector(".chart canvas");
    const context = canvas?.getContext("2d");
    if (!context || canvas.width === 0) return null;
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
      if (data[i] < 190 || data[i + 1] > 80 || data[i + 2] < 190 || data[i + 3] < 200) continue;
      const [x, y] = [(i / 4) % canvas.width, Math.floor(i / 4 / canvas.width)];
      const { left, top, width } = canvas.getBoundingClientRect();
      const scale = width / canvas.width;
      return { x: left + x * scale, y: top + (y + 4) * scale };
    }
    return null;
  });
  const { x, y } = await diamond.jsonValue();
  await page.mouse.move(x, y);
  await page.locator(".graph-tip", { hasText: "Exemplar" }).waitFor();
  assert.match(await page.locator(".graph-tip").textContent(), /Exemplar 5.*trace_id="<b>4bf92f35<\/b>".*traced_total/);
});
