/** An expression that opens on the query page. */

import { href } from "../lib/router";

/** The address of the query page with an expression, as a graph or a table. */
export function queryHref(expression: string, tab: "graph" | "table" = "table"): string {
  return href(`/query?${new URLSearchParams({ "g0.expr": expression, "g0.tab": tab }).toString()}`);
}

export function QueryLink({ expression, tab }: { expression: string; tab?: "graph" | "table" }) {
  return (
    <a data-page class="expression" href={queryHref(expression, tab)}>
      <bdi>{expression}</bdi>
    </a>
  );
}
