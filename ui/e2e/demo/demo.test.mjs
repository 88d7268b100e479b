/** What somebody sees who opens the page of `cargo xtask demo`. `tests/e2e/tests/demo.rs` starts it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { browserTests, queryPath } from "../browser.mjs";

const { open } = browserTests();

test("all targets are there, and one is down", async () => {
  const page = await open("/targets");
  await page.getByText("15 targets").first().waitFor();
  const down = await open("/targets?health=down");
  await down.locator(".target.down").first().waitFor();
  assert.equal(await down.locator(".target").count(), 1);
  assert.match(await down.locator(".target-error").textContent(), /dial tcp 10\.244\.2\.23:8081: connect: connection refused/);
});

test("the page of monitors says what is wrong with three of them", async () => {
  for (const [name, reason] of [
    ["cart", /spec\.selector\.matchLabels\["app"\] asks for, "cart".*Service shop\/cart has no such label/],
    ["checkout", /spec\.endpoints\[0\]\.port "metrcs" does not exist on Service shop\/checkout: there are metrics/],
    ["payments", /connection refused/],
  ]) {
    const page = await open(`/monitors?search=shop/${name}`);
    const card = page.locator(".card", { hasText: `shop/${name}` });
    await card.getByText("Why", { exact: true }).click();
    const told = card.locator("details p").first();
    await told.waitFor();
    assert.match(await told.textContent(), reason, name);
    await page.context().close();
  }
});

test("a recorded series has a graph", async () => {
  const page = await open(queryPath("instance:node_cpu_utilisation:rate1m", { tab: "graph", range_input: "5m" }));
  await page.locator(".legend .vl-row").first().waitFor();
});
