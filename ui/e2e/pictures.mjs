/**
 * Pictures of views, which must look the same wherever they are taken: the clock stands still, the fonts are given, and what the
 * API answered when the pictures were made is answered again.
 *
 * With WEFT_PICTURES set, the answers of the server under test are recorded and the pictures made anew; look at each of them before
 * it is committed.
 */

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

import pixelmatch from "pixelmatch";
import { PNG } from "pngjs";

const RECORDED = new URL("pictures.json", import.meta.url);
const FOLDER = new URL("../../docs/images/", import.meta.url);
/** Where a picture that differs is put, beside one of the difference. */
const DIFFERENT = new URL("../node_modules/.pictures/", import.meta.url);

/** Share of pixels that may differ: another Chromium draws the edges of letters otherwise. */
const TOLERATED = 0.002;
/** How far colours of a pixel may be apart, of 1. */
const COLOUR = 0.15;

export const isRecording = process.env.WEFT_PICTURES !== undefined;

/** The time at which it is, milliseconds since 1970, and what was answered, by view and then by request. */
const recorded = isRecording ? { now: Date.now(), views: {} } : JSON.parse(readFileSync(RECORDED, "utf8"));

/** Keeps what was answered. */
export function keepRecorded() {
  if (isRecording) writeFileSync(RECORDED, JSON.stringify(recorded, undefined, 1) + "\n");
}

/** Makes a context answer as it was recorded for a view, or record it. */
export function prepared(name) {
  return async (context) => {
    await context.addInitScript(freeze, recorded.now);
    const answers = (recorded.views[name] ??= {});
    await context.route(/\/api\/v1\//, (route) => answered(route, answers, name));
  };
}

/** Runs in the page. */
function freeze(now) {
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...args) {
      super(...(args.length === 0 ? [now] : args));
    }
    static now = () => now;
  };
  performance.now = () => 0;
  document.addEventListener("DOMContentLoaded", () => {
    const style = document.createElement("style");
    style.textContent = ':root { --sans: "DejaVu Sans" !important; --mono: "DejaVu Sans Mono" !important; }';
    document.head.append(style);
  });
}

/** What was asked for, and had not been when the pictures were made. */
const unknown = [];

async function answered(route, answers, name) {
  const request = route.request();
  const { pathname, search } = new URL(request.url());
  // A stream has no end that could be waited for.
  if (pathname.endsWith("/notifications/live")) return route.abort();
  const key = [request.method(), pathname + search, request.postData() ?? ""].join(" ").trimEnd();
  if (isRecording && !answers[key]) {
    const response = await route.fetch({ url: unnamed(request.url()) });
    answers[key] = { status: response.status(), body: named(await response.text()) };
  }
  const answer = answers[key];
  if (answer) return route.fulfill({ ...answer, contentType: "application/json" });
  unknown.push(`${name}: ${key}`);
  return route.abort();
}

/** Folders of this run, which would differ with each, under other names. */
const folders = new Map();

function named(text) {
  return text.replaceAll(/\/tmp\/\.tmp\w+/g, (folder) => {
    if (!folders.has(folder)) folders.set(folder, `/srv/weft-${folders.size + 1}`);
    return folders.get(folder);
  });
}

/** An address as the server knows it. */
function unnamed(url) {
  for (const [folder, name] of folders) url = url.replaceAll(encodeURIComponent(name), encodeURIComponent(folder));
  return url;
}

/** Takes a picture of a page that has come to rest, and compares it with the one that is kept, or keeps it. */
export async function pictured(page, name) {
  await page.waitForLoadState("networkidle");
  const taken = await atRest(page);
  // What is asked for from here on is of no picture.
  await page.context().unrouteAll({ behavior: "ignoreErrors" });
  assert.deepEqual(unknown.splice(0), [], "the page asks for more; record anew with WEFT_PICTURES=1 and look at the pictures");
  const kept = new URL(`${name}.png`, FOLDER);
  if (isRecording) {
    mkdirSync(FOLDER, { recursive: true });
    return writeFileSync(kept, taken);
  }
  const [actual, expected] = [PNG.sync.read(taken), PNG.sync.read(readFileSync(kept))];
  const size = ({ width, height }) => `${width}x${height}`;
  assert.equal(size(actual), size(expected), name);
  const difference = new PNG({ width: actual.width, height: actual.height });
  const { width, height } = actual;
  const n = differing(expected, actual, difference);
  if (n <= TOLERATED * width * height) return;
  mkdirSync(DIFFERENT, { recursive: true });
  writeFileSync(new URL(`${name}.png`, DIFFERENT), taken);
  writeFileSync(new URL(`${name}-difference.png`, DIFFERENT), PNG.sync.write(difference));
  assert.fail(`${name} differs from docs/images/${name}.png in ${n} pixels; see ui/node_modules/.pictures`);
}

/** A picture that looks the same twice in a row: the edges of what was drawn anew may differ by a shade. */
async function atRest(page) {
  await page.evaluate(() => document.fonts.ready);
  let last;
  for (let n = 0; n < 50; n++) {
    const shot = await page.screenshot({ animations: "disabled", caret: "hide" });
    const now = PNG.sync.read(shot);
    if (last && differing(last, now) === 0) return shot;
    last = now;
  }
  throw new Error("the page does not come to rest");
}

/** In how many pixels two pictures of one size look different; they are marked in `difference`. */
function differing(a, b, difference) {
  if (a.width !== b.width || a.height !== b.height) return Infinity;
  return pixelmatch(a.data, b.data, difference?.data, a.width, a.height, { threshold: COLOUR });
}
