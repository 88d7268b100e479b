/** How views look, compared with the pictures in `docs/images`. */

import { after, test } from "node:test";

import { browserTests, DESKTOP, PHONE } from "./browser.mjs";
import { keepRecorded, pictured, prepared } from "./pictures.mjs";
import { openView, VIEWS } from "./views.mjs";

const { open } = browserTests();
after(keepRecorded);

/** The ones that are looked at in the dark, too, and those on a phone. */
const DARK = ["query-graph", "targets", "rules"];
const SMALL = ["query-graph", "targets", "alerts"];

const shots = [
  ...VIEWS.map((view) => [view, "light", DESKTOP]),
  ...VIEWS.filter(({ name }) => DARK.includes(name)).map((view) => [view, "dark", DESKTOP]),
  ...VIEWS.filter(({ name }) => SMALL.includes(name)).map((view) => [view, "phone", PHONE]),
];

for (const [view, kind, viewport] of shots) {
  const name = `${view.name}-${kind}`;
  test(`${name} looks as before`, async () => {
    const options = { viewport, theme: kind === "dark" ? "dark" : "light", bypassCSP: true, prepare: prepared(view.name) };
    await pictured(await openView(open, view, options), name);
  });
}
