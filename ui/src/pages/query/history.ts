/** The queries that were run in this browser, the newest first. */

import { persisted } from "../../lib/storage";

const KEPT = 100;
/** A query longer than this is not kept: the store of a browser is small. */
const LENGTH_MAX = 5_000;

const isList = (value: unknown) => Array.isArray(value) && value.every((one) => typeof one === "string");

export const history = persisted<string[]>("queries", [], isList);

export function remember(expr: string) {
  const query = expr.trim();
  if (query === "" || query.length > LENGTH_MAX || history.value[0] === query) return;
  history.value = [query, ...history.value.filter((other) => other !== query)].slice(0, KEPT);
}
