/** Why a query has no result: names and values that no series has, and which ones are like them. */

import { labelNames, labelValues, metricNames } from "../../api/queries";
import { quoted } from "../../lib/labels";
import { selectors, type Selector } from "../../lib/promql";
import { misspelt, type Slip } from "./slips";

export interface Diagnosis {
  /** What is so, as a sentence. */
  says: string;
  slips: Slip[];
}

/** Looks at a query's selectors one by one; the first thing that explains an empty one is its reason. */
export async function diagnose(expr: string, signal: AbortSignal): Promise<Diagnosis[]> {
  const found: Diagnosis[] = [];
  for (const selector of selectors(expr)) {
    const reason = await ofSelector(expr, selector, signal);
    if (reason && !found.some((other) => other.says === reason.says)) found.push(reason);
  }
  return found;
}

async function ofSelector(expr: string, selector: Selector, signal: AbortSignal): Promise<Diagnosis | null> {
  const { metric } = selector;
  if (metric.text === "") return null;
  const { data: names } = await metricNames(signal);
  if (!names.includes(metric.text)) {
    return { says: `No series has the name ${metric.text}.`, slips: misspelt(expr, metric, names, "metric") };
  }
  const all = `{__name__=${quoted(metric.text)}}`;
  const { data: labels } = await labelNames(all, signal);
  for (const { name, op, value } of selector.matchers) {
    if (op !== "=" || value.text === "") continue;
    if (!labels.includes(name.text)) {
      const slips = misspelt(expr, name, labels, "label", ` on ${metric.text}`);
      return { says: `No series of ${metric.text} has the label ${name.text}. They have ${list(labels)}.`, slips };
    }
    const { data: values } = await labelValues(name.text, all, signal);
    if (values.includes(value.text)) continue;
    const slips = misspelt(expr, value, values, "value", ` of ${name.text}`);
    return { says: `No series of ${metric.text} has ${name.text}=${quoted(value.text)}. There are ${list(values)}.`, slips };
  }
  return null;
}

const LISTED = 8;

function list(names: readonly string[]): string {
  const shown = names.filter((name) => name !== "__name__");
  const more = shown.length - LISTED;
  return more > 0 ? `${shown.slice(0, LISTED).join(", ")} and ${more} more` : shown.join(", ");
}
