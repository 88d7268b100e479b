/** Requests to the server's API. Nothing else on the page asks for anything. */

import { base } from "../lib/router";
import { report } from "./connection";
import type { paths } from "./schema";

/** The endpoints that are asked by GET. */
type GetPath = { [P in keyof paths]: paths[P] extends { get: { responses: { 200: unknown } } } ? P : never }[keyof paths];

/** What an endpoint answers with, as the server's own description says. */
export type Data<P extends GetPath> = paths[P] extends {
  get: { responses: { 200: { content: { "application/json": { data: infer D } } } } };
}
  ? D
  : never;

/** The parameters of an endpoint. */
export type Query<P extends GetPath> = paths[P] extends { get: { parameters: { query?: infer Q } } } ? Q : never;

/** What was asked for, and what the server says of it. */
export interface Answer<T> {
  data: T;
  warnings: readonly string[];
  infos: readonly string[];
  /** How long it took, milliseconds. */
  tookMs: number;
  /** Size of the answer's text. */
  bytes: number;
}

/** Why there is no answer. `kind` is the API's `errorType`, or `network` where the server did not answer as it should. */
export class ApiError extends Error {
  constructor(
    readonly kind: string,
    message: string,
    readonly status = 0,
  ) {
    super(message);
  }

  /** True if asking again later may help. */
  get isPassing(): boolean {
    return (this.kind === "network" && this.status === 0) || [401, 502, 503, 504].includes(this.status);
  }
}

export interface Options {
  signal?: AbortSignal | undefined;
  /** True for what may take long: then nobody is told that the server is slow. */
  isQuery?: boolean;
}

type Value = string | number | boolean | readonly string[] | undefined;

function encoded(query: object): URLSearchParams {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query) as [string, Value][]) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) params.append(name, String(one));
  }
  return params;
}

/** The address of an endpoint; `{name}` in its path is filled from `segments`. */
function address(path: string, segments: Record<string, string>): string {
  return `${base}api/v1${path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(segments[name] ?? ""))}`;
}

/** Asks by GET. */
export function get<P extends GetPath>(
  path: P,
  query: NonNullable<Query<P>> | Record<string, never>,
  options: Options & { segments?: Record<string, string> } = {},
): Promise<Answer<Data<P>>> {
  const params = encoded(query).toString();
  const url = address(path, options.segments ?? {}) + (params === "" ? "" : `?${params}`);
  return send(url, {}, options);
}

/** Asks by POST with a form: for what may be too long for an address. */
export function post<P extends GetPath>(path: P, query: NonNullable<Query<P>>, options: Options = {}): Promise<Answer<Data<P>>> {
  return send(address(path, {}), { method: "POST", body: encoded(query) }, options);
}

/** The endpoints that change something. */
type ActPath = { [P in keyof paths]: paths[P] extends { post: { responses: { 204: unknown } } } ? P : never }[keyof paths];

/** Asks for a change. */
export async function act(path: ActPath, params: object): Promise<void> {
  const request: RequestInit = { method: "POST", body: encoded(params), credentials: "same-origin" };
  const response = await report(fetch(address(path, {}), request), false).catch(() => {
    throw new ApiError("network", "The server does not answer.");
  });
  if (response.ok) return;
  const frame = parsed<never>(await response.text());
  throw new ApiError(
    frame?.errorType ?? "network",
    frame?.error ?? `The server answered with status ${response.status}.`,
    response.status,
  );
}

/** The requests of libraries, below the page's prefix. */
export function rawFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  return report(fetch(input, { ...init, credentials: "same-origin" }), true);
}

interface Frame<T> {
  status?: string;
  data?: T;
  errorType?: string;
  error?: string;
  warnings?: string[];
  infos?: string[];
}

async function send<T>(url: string, init: RequestInit, options: Options): Promise<Answer<T>> {
  const began = performance.now();
  let response: Response;
  let text: string;
  try {
    const request: RequestInit = { ...init, credentials: "same-origin", headers: { Accept: "application/json" } };
    if (options.signal) request.signal = options.signal;
    response = await report(fetch(url, request), options.isQuery ?? false);
    text = await response.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("network", "The server does not answer.");
  }
  const frame = parsed<T>(text);
  if (frame?.status === "success" && response.ok) {
    const { warnings = [], infos = [] } = frame;
    return { data: frame.data as T, warnings, infos, tookMs: performance.now() - began, bytes: text.length };
  }
  if (frame?.status === "error") throw new ApiError(frame.errorType ?? "unknown", frame.error ?? "", response.status);
  if (response.status === 401) throw new ApiError("unauthorized", "The server wants to know who asks (401).", 401);
  const said = text.length > 0 && text.length < 300 && !text.includes("<") ? `: ${text.trim()}` : "";
  throw new ApiError("network", `The server answered with status ${response.status}${said}`, response.status);
}

function parsed<T>(text: string): Frame<T> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? (value as Frame<T>) : null;
  } catch {
    return null;
  }
}
