/** What the query page asks. */

import { get, post, type Answer, type Options } from "./client";
import type { MatrixResult, Plan, ScalarOrStringResult, VectorResult } from "./types";

export type InstantResult = VectorResult | MatrixResult | ScalarOrStringResult;

const seconds = (ms: number) => ms / 1000;

/** A query at one time. */
export async function instant(expr: string, atMs: number, { signal }: Options): Promise<Answer<InstantResult>> {
  const answer = await post("/query", { query: expr, time: seconds(atMs), stats: "true" }, { signal, isQuery: true });
  const { data } = answer;
  if (!("resultType" in data)) throw new Error("an answer without a result");
  return { ...answer, data };
}

/** A range of time with its steps. */
export interface Range {
  startMs: number;
  endMs: number;
  stepMs: number;
}

/** A query over a range. */
export async function range(expr: string, times: Range, { signal }: Options): Promise<Answer<MatrixResult>> {
  const query = { query: expr, start: seconds(times.startMs), end: seconds(times.endMs), step: seconds(times.stepMs) };
  const answer = await post("/query_range", query, { signal, isQuery: true });
  const { data } = answer;
  if (!("resultType" in data)) throw new Error("an answer without a result");
  return { ...answer, data };
}

/** The plan of a query at one time, and with `isMeasured` what evaluating it cost. */
export async function plan(expr: string, atMs: number, isMeasured: boolean, { signal }: Options): Promise<Answer<Plan>> {
  const query = { query: expr, time: seconds(atMs), explain: isMeasured ? "analyze" : "true" } as const;
  const answer = await post("/query", query, { signal, isQuery: true });
  if (!answer.data.explain) throw new Error("an answer without a plan");
  return { ...answer, data: answer.data.explain };
}

/** The exemplars of what a query selects. */
export function exemplars(expr: string, times: Range, { signal }: Options) {
  return post(
    "/query_exemplars",
    { query: expr, start: seconds(times.startMs), end: seconds(times.endMs) },
    { signal, isQuery: true },
  );
}

/** The names of all metrics. */
export function metricNames(signal?: AbortSignal) {
  return get("/label/{name}/values", {}, { signal, segments: { name: "__name__" } });
}

/** The names of the labels that a selector's series have. */
export function labelNames(selector: string, signal?: AbortSignal) {
  return get("/labels", { "match[]": [selector] }, { signal });
}

/** The values that a label has in a selector's series. */
export function labelValues(label: string, selector: string, signal?: AbortSignal) {
  return get("/label/{name}/values", { "match[]": [selector] }, { signal, segments: { name: label } });
}

/** A query, formatted. */
export function formatted(expr: string) {
  return post("/format_query", { query: expr });
}
