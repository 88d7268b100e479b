/**
 * How long two steps take in the page of a server, Weft's or Prometheus': a graph of a thousand series, and the list of all
 * targets. Each in a new context, so that nothing is cached. Prints one JSON object; `benches/src/bin/page.rs` starts the servers
 * and reads it.
 */

import { chromium } from "playwright-core";

const { WEFT_BENCH_URL: server, WEFT_BENCH_RUNS: runs, WEFT_BENCH_QUERY: query, WEFT_BENCH_TARGET: target } = process.env;

/** A curve drawn by uPlot, which both pages use: pixels in the middle of its canvas. */
const DRAWN = `(() => {
  const canvas = document.querySelector(".uplot canvas");
  if (!canvas || canvas.width === 0) return false;
  const { width, height } = canvas;
  const middle = canvas.getContext("2d").getImageData(Math.floor(width / 2), 0, 8, height).data;
  // The grid's lines are few pixels; a thousand curves are many.
  let coloured = 0;
  for (let i = 3; i < middle.length; i += 4) if (middle[i] > 0) coloured += 1;
  return coloured > height;
})()`;
const LISTED = `[...document.querySelectorAll("#app, #root")].some((root) => root.textContent.includes(${JSON.stringify(target)}))`;

const graph = new URLSearchParams({ "g0.expr": query, "g0.tab": "graph", "g0.range_input": "1h" });
const STEPS = [
  ["graph", `/query?${graph}`, DRAWN],
  ["targets", "/targets", LISTED],
];

const executablePath = process.env.WEFT_CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
const found = {};
for (const [name, path, ready] of STEPS) {
  found[name] = [];
  for (let run = 0; run < Number(runs); run++) found[name].push(await once(path, ready));
}
await browser.close();
console.log(JSON.stringify(found));

/** Opens a path and waits until it is ready; times in milliseconds from the start of the navigation, memory in bytes. */
async function once(path, ready) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB" });
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  await devtools.send("Performance.enable");
  // Looked at each frame, by the page's own clock.
  await page.addInitScript(`(() => {
    const look = () => {
      if (document.body && ${ready}) window.readyAfter = performance.now();
      else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  })()`);
  await page.goto(server + path, { waitUntil: "commit" });
  await page.waitForFunction(() => window.readyAfter !== undefined, undefined, { timeout: 120_000, polling: 50 });
  const ready_ms = await page.evaluate(() => window.readyAfter);
  const paint_ms = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null);
  const bytes = await page.evaluate(() =>
    [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .map((entry) => entry.transferSize)
      .reduce((sum, size) => sum + size, 0),
  );
  const { metrics } = await devtools.send("Performance.getMetrics");
  const metric = (name) => metrics.find((one) => one.name === name)?.value ?? null;
  const result = { ready_ms, paint_ms, bytes, busy_s: metric("TaskDuration"), heap: metric("JSHeapUsedSize") };
  await context.close();
  return result;
}
