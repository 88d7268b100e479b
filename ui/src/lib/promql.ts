/** What the page has to know of a query's text: which series it selects, and where. */

import { parser } from "@prometheus-io/lezer-promql";

/** A part of the text, from one position to before another. */
export interface Span {
  from: number;
  to: number;
}

export interface Matcher extends Span {
  name: Span & { text: string };
  op: string;
  value: Span & { text: string };
}

export interface Selector extends Span {
  /** Empty where it has none. */
  metric: Span & { text: string };
  matchers: Matcher[];
}

/** The selectors of a query, also of one that is not complete. */
export function selectors(expr: string): Selector[] {
  const found: Selector[] = [];
  parser.parse(expr).iterate({
    enter({ name, from, to, node }) {
      if (name === "VectorSelector") found.push({ from, to, metric: { from, to: from, text: "" }, matchers: [] });
      const current = found[found.length - 1];
      if (current && to <= current.to) fill(current, name, node.parent?.name ?? "", { from, to, text: expr.slice(from, to) });
    },
  });
  return found;
}

/** Notes a node of the tree that is part of a selector. */
function fill(selector: Selector, kind: string, parent: string, part: Span & { text: string }) {
  const named = { ...part, text: unquoted(part.text) };
  const matcher = selector.matchers[selector.matchers.length - 1];
  if (kind === "Identifier" && parent === "VectorSelector") selector.metric = part;
  // A name in quotes among the matchers is the metric's.
  if (kind === "QuotedLabelName" && parent === "LabelMatchers") selector.metric = named;
  if (kind === "UnquotedLabelMatcher" || kind === "QuotedLabelMatcher") {
    const none = { from: part.from, to: part.from, text: "" };
    selector.matchers.push({ from: part.from, to: part.to, name: none, op: "=", value: none });
  }
  if (!matcher || !(parent === "UnquotedLabelMatcher" || parent === "QuotedLabelMatcher")) return;
  if (kind === "LabelName" || kind === "QuotedLabelName") matcher.name = named;
  if (kind === "MatchOp") matcher.op = part.text;
  if (kind === "StringLiteral") matcher.value = named;
}

/** The text that a string of PromQL stands for; names without quotes stay. */
function unquoted(text: string): string {
  const quote = text[0];
  if (quote !== '"' && quote !== "'" && quote !== "`") return text;
  const inner = text.slice(1, -1);
  return quote === "`" ? inner : inner.replace(/\\(n|t|\\|"|')/g, (_, c: string) => (c === "n" ? "\n" : c === "t" ? "\t" : c));
}
