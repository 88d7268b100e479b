/**
 * What the authors of the articles did in the browser, with their objects on a real API server: they looked at the targets, asked
 * their first queries, and sought why a monitor was not there. `tests/e2e/tests/operator/articles.rs` starts it.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { browserTests, queryPath } from "../browser.mjs";
import { barriers } from "../accessible.mjs";

const { open } = browserTests();

test("Felix, kubenurse and node-exporter are among the targets", async () => {
  const page = await open("/targets?health=up");
  for (const [pool, labels] of [
    ["podMonitor/monitoring/felix/0", /job="monitoring\/felix".*namespace="kube-system".*pod="calico-node-7xk2p"/],
    ["serviceMonitor/monitoring/kubenurse/0", /job="kubenurse"/],
    ["serviceMonitor/default/node-exporter-servicemonitor/0", /job="node-exporter-service"/],
  ]) {
    await page.getByRole("combobox", { name: "Pool" }).selectOption(pool);
    await page.locator(".pool h2", { hasText: pool }).waitFor();
    assert.match(await page.locator(".target.up .labels").first().textContent(), labels);
  }
});

test("two members of etcd are red, each with its reason, and one scrape of the third shows its page", async () => {
  const page = await open("/targets?pool=serviceMonitor/default/etcd-servicemonitor/0");
  await page.locator(".target.down").nth(1).waitFor();
  for (const ip of ["10.225.28.220", "10.225.28.227"]) {
    const error = page.locator(".target.down", { hasText: ip }).locator(".target-error");
    assert.match(await error.textContent(), new RegExp(`dial tcp ${ip}:2381: connect: connection refused`));
  }
  await page.locator(".target.up").getByRole("button", { name: "scrape once" }).click();
  await page.getByRole("dialog").getByText("etcd_cluster_version").first().waitFor();
});

test("the articles' first queries have a table and a graph", async () => {
  for (const expr of ["felix_active_local_endpoints", "kubenurse_errors_total", "node_load1", "etcd_server_has_leader"]) {
    const page = await open(queryPath(expr));
    await page.locator(".result .metric-name", { hasText: expr }).first().waitFor();
    await page.getByRole("tab", { name: "Graph" }).click();
    await page.locator(".legend .vl-row").first().waitFor();
    await page.context().close();
  }
});

test("the page of monitors says what each of the articles' mistakes is", async () => {
  for (const [name, reason] of [
    ["slip", /spec\.selector\.matchLabels\["team"\] asks for, "etcd-expoter": Service default\/etcd-metrics has "etcd-exporter"/],
    ["plain", /set scheme: https if the port speaks TLS/],
    ["port", /spec\.endpoints\[0\]\.port "metrcs" does not exist on Service default\/node-exporter-service: there are metrics/],
    ["no-client-certificate", /it wants another client certificate: see tls_config\.cert_file/],
  ]) {
    const page = await open(`/monitors?search=default/${name}`);
    const card = page.locator(".card", { hasText: `default/${name}` });
    await card.getByText("Why", { exact: true }).click();
    const told = card.locator("details p").first();
    await told.waitFor();
    assert.match(await told.textContent(), reason, name);
    assert.deepEqual(await barriers(page), []);
    await page.context().close();
  }
});
