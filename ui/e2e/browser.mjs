/**
 * A browser for tests: Debian's Chromium, driven by Playwright's core. Whatever a test does, the page must not ask for anything
 * outside of its own server, break its own policy, or fail in a script.
 */

import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";

import { chromium } from "playwright-core";

/** Where the server under test answers; the test in Rust that starts it says so. */
export const SERVER = required("WEFT_URL");
/** The same behind a route prefix. */
export const PREFIXED = given("WEFT_PREFIXED_URL");
/** One with 20,000 targets. */
export const LARGE = given("WEFT_LARGE_URL");

/** The tests of a cluster have one server only. */
function given(name) {
  return process.env[name]?.replace(/\/$/, "");
}

function required(name) {
  const value = given(name);
  if (!value) throw new Error(`${name} is not set: run \`cargo test -p e2e --test ui\`, which starts the servers`);
  return value;
}

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** Prepares the tests of a file: one browser, and a check after each test. */
export function browserTests() {
  let browser;
  let contexts = [];
  let faults = [];
  before(async () => {
    const executablePath = process.env.WEFT_CHROMIUM ?? "/usr/bin/chromium";
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  });
  after(() => browser?.close());
  afterEach(async () => {
    await Promise.all(contexts.map((context) => context.close()));
    contexts = [];
    const found = faults;
    faults = [];
    assert.deepEqual(found, []);
  });

  /** A fresh page at a path of a server. `prepare` gets the context before anything is asked for. */
  async function open(path, { server = SERVER, viewport = DESKTOP, theme = "light", prepare, ...options } = {}) {
    const context = await browser.newContext({
      viewport,
      colorScheme: theme,
      reducedMotion: "reduce",
      timezoneId: "Europe/Berlin",
      locale: "en-GB",
      ...options,
    });
    contexts.push(context);
    context.setDefaultTimeout(60_000);
    await prepare?.(context);
    const page = await context.newPage();
    const origin = new URL(server).origin;
    page.on("pageerror", (error) => faults.push(`script: ${error}`));
    page.on("console", (message) => {
      // Answers of the API may say that a query is wrong; those of files are looked at below.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
        faults.push(`console: ${message.text()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400 && !response.url().includes("/api/v1/"))
        faults.push(`${response.status()}: ${response.url()}`);
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith("data:"))
        faults.push(`asked elsewhere: ${request.url()}`);
    });
    await page.goto(server + path);
    return page;
  }
  return { open };
}

/** Waits until the editor is there, and writes into it. */
export async function write(page, expr, number = 1) {
  const editor = page.getByRole("region", { name: `Query ${number}` }).locator(".query-editor .cm-content");
  await editor.waitFor();
  await editor.fill(expr);
  return editor;
}

/** The address of the query page with one query. */
export function queryPath(expr, more = {}) {
  const params = new URLSearchParams({ "g0.expr": expr });
  for (const [name, value] of Object.entries(more)) params.set(`g0.${name}`, value);
  return `/query?${params}`;
}
