/**
 * Addresses. Pages are one path segment each, so what stands before the last slash is the prefix: of the server, of a proxy, or
 * none. Nothing has to tell the page what it is.
 */

import { computed, signal } from "@preact/signals";

interface Place {
  /** `/targets` */
  path: string;
  /** Without the question mark. */
  search: string;
}

/** What all addresses begin with, a slash at its end. */
export const base = location.pathname.replace(/[^/]*$/, "");

function here(): Place {
  return { path: `/${location.pathname.slice(base.length)}`, search: location.search.slice(1) };
}

const current = signal(here());

/** The path of the page that is shown. */
export const path = computed(() => current.value.path);
/** Its parameters. */
export const search = computed(() => current.value.search);

addEventListener("popstate", () => (current.value = here()));

/** The address of a page, for a link. */
export function href(to: string): string {
  return base + to.replace(/^\//, "");
}

/** Goes to a page, `/targets?health=down`. */
export function navigate(to: string, how: "push" | "replace" = "push") {
  if (how === "push") history.pushState(null, "", href(to));
  else history.replaceState(null, "", href(to));
  current.value = here();
}

/** Writes the parameters of the page that is shown. */
export function setSearch(params: URLSearchParams, how: "push" | "replace" = "replace") {
  const text = params.toString();
  if (text === current.value.search) return;
  navigate(current.value.path + (text === "" ? "" : `?${text}`), how);
}

/** The value of a parameter; empty where there is none. */
export function param(name: string): string {
  return new URLSearchParams(search.value).get(name) ?? "";
}

/** The value of a parameter that is one of these; empty where it is none of them. */
export function paramOf<V extends string>(name: string, values: readonly V[]): V | "" {
  return values.find((value) => value === param(name)) ?? "";
}

/** Sets a parameter, or with an empty value takes it away. */
export function setParam(name: string, value: string) {
  const params = new URLSearchParams(search.value);
  if (value === "") params.delete(name);
  else params.set(name, value);
  setSearch(params);
}

/** Follows links within the page without loading it again. Modified clicks are the browser's. */
export function followLinks() {
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest("a[data-page]");
    const to = link?.getAttribute("href");
    if (!to?.startsWith(base)) return;
    event.preventDefault();
    navigate(`/${to.slice(base.length)}`);
  });
}
