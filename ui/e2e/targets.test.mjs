/** A person's ways through the page of targets. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { browserTests, LARGE } from "./browser.mjs";

const { open } = browserTests();

test("from a red target to its reason, and the link of what is shown", async () => {
  const page = await open("/targets");
  await page.locator(".target.down").first().waitFor();
  await page.getByRole("button", { name: /^down/ }).click();
  await page.waitForFunction(() => document.querySelectorAll(".target.up").length === 0);
  assert.match(await page.locator(".target-error").first().textContent(), /503/);
  await page.reload();
  await page.locator(".target.down").first().waitFor();
  assert.equal(await page.locator(".target.up").count(), 0);
  await page.getByRole("combobox", { name: "Pool" }).selectOption("app");
  await page.getByText("No target fits these filters.").waitFor();
});

test("one scrape of a target shows the line that is wrong, and one of another what would be stored", async () => {
  const page = await open("/targets?pool=garbled");
  await page.getByRole("button", { name: "scrape once" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.locator(".numbered-line.marked").waitFor();
  assert.match(await dialog.locator(".numbered-line.marked").textContent(), /^3queue_length\{queue=out\} 4/);
  assert.match(await dialog.locator(".notice.error").textContent(), /line 3/);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("combobox", { name: "Pool" }).selectOption("app");
  await page.getByRole("button", { name: "scrape once" }).click();
  await dialog.getByText("not_a_counter").first().waitFor();
  await dialog.getByRole("tab", { name: "Page" }).click();
  await dialog.getByText("# TYPE http_requests_total counter").waitFor();
});

test("samples of a target are a click away", async () => {
  const page = await open("/targets?pool=app");
  await page.locator(".target.up").getByRole("link", { name: "samples" }).click();
  await page.locator(".legend .vl-row").first().waitFor();
  assert.equal(await page.locator("h1").textContent(), "Query");
  await page.goBack();
  await page.locator(".target.up").waitFor();
});

test("20,000 targets are listed and searched", async () => {
  const began = performance.now();
  const page = await open("/targets", { server: LARGE });
  await page.getByText("20,000 targets").waitFor();
  await page.locator(".target").first().waitFor();
  console.log(`# 20,000 targets: listed after ${Math.round(performance.now() - began)} ms`);
  assert.ok((await page.locator(".target").count()) < 60);
  await page.keyboard.press("/");
  await page.keyboard.type("shard-1999");
  await page.getByText("11 of 20,000 targets").waitFor();
});
