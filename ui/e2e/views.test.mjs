/** What holds for every view: everyone can use it, hostile texts stay texts, it works below a prefix and on a phone. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

import { barriers } from "./accessible.mjs";
import { browserTests, PHONE, PREFIXED, SERVER } from "./browser.mjs";
import { stripping } from "./proxy.mjs";
import { openView, VIEWS } from "./views.mjs";

const { open } = browserTests();

for (const theme of ["light", "dark"]) {
  for (const view of VIEWS) {
    test(`${view.name} is for everyone (${theme})`, async () => {
      const page = await openView(open, view, { theme });
      assert.deepEqual(await barriers(page), []);
    });
  }
}

for (const view of VIEWS) {
  test(`${view.name} fits a phone, and what targets say stays text`, async () => {
    const page = await openView(open, view, { viewport: PHONE });
    const { wide, markup } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      markup: document.querySelectorAll("#app img, #app b, #app script, #app iframe").length,
    }));
    assert.deepEqual({ wide, markup }, { wide: 0, markup: 0 });
  });
}

test("every view works below a route prefix, and below one that a proxy cuts off", async () => {
  const proxy = await stripping("/cut/off", SERVER);
  try {
    for (const server of [PREFIXED, proxy.address]) {
      for (const view of VIEWS) {
        const page = await openView(open, view, { server });
        assert.ok(page.url().startsWith(server), page.url());
        await page.close();
      }
      const page = await open("/query", { server });
      await page.getByText("Status", { exact: true }).click();
      await page.getByRole("link", { name: "Flags" }).click();
      await page.locator(".dt .vl-row").first().waitFor();
      assert.equal(page.url(), `${server}/flags`);
      assert.equal(await page.evaluate(() => document.activeElement.textContent), "Flags");
    }
  } finally {
    proxy.close();
  }
});

test("the theme is the system's, until people choose", async () => {
  const page = await open("/flags", { theme: "dark" });
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  assert.equal(await theme(), "dark");
  await page.getByRole("button", { name: "Theme: the system's" }).click();
  assert.equal(await theme(), "light");
  await page.reload();
  assert.equal(await theme(), "light");
});

test("all files together are small, and the first paint waits for few", async () => {
  const folder = new URL("../dist/page/assets/", import.meta.url);
  const files = readdirSync(folder).filter((name) => name.endsWith(".gz"));
  const sizes = files.map((name) => readFileSync(new URL(name, folder)).length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  for (const name of files)
    assert.deepEqual(gunzipSync(readFileSync(new URL(name, folder))), readFileSync(new URL(name.slice(0, -3), folder)));
  assert.ok(total <= 400 * 1024, `${total} bytes`);

  const page = await open("/query");
  await page.locator(".query-editor .cm-content").waitFor();
  const { paint, loaded } = await page.evaluate(() => ({
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
    loaded: performance.getEntriesByType("resource").map(({ name, encodedBodySize }) => [name.split("/").pop(), encodedBodySize]),
  }));
  const encoded = loaded.filter(([name]) => files.includes(`${name}.gz`));
  // What the browser got was compressed.
  for (const [name, size] of encoded) assert.equal(size, sizes[files.indexOf(`${name}.gz`)], name);
  console.log(`# assets: ${total} bytes compressed; first contentful paint of /query after ${Math.round(paint)} ms`);
});
