/** Whether the server answers. While it does not, it is asked now and then, so that the page goes on by itself. */

import { signal } from "@preact/signals";

import { base } from "../lib/router";

export type Connection =
  | "ok"
  /** No answer. */
  | "gone"
  /** It wants a password or a token. */
  | "unauthorized"
  /** It starts, ends, or has too much to do. */
  | "unavailable"
  /** A request waits for longer than it should. */
  | "slow";

const SLOW_MS = 4_000;
const RETRY_MS = 2_000;

export const connection = signal<Connection>("ok");
/** Counts how often the server came back; who failed meanwhile asks again. */
export const returns = signal(0);

let slow = 0;
let retry: ReturnType<typeof setTimeout> | undefined;

/** Watches a request; `mayBeSlow` of one whose work may take long. */
export async function report(request: Promise<Response>, mayBeSlow: boolean): Promise<Response> {
  let isLate = false;
  const late = setTimeout(() => {
    if (mayBeSlow) return;
    isLate = true;
    slow += 1;
    if (connection.value === "ok") connection.value = "slow";
  }, SLOW_MS);
  try {
    const response = await request;
    answered(response.status);
    return response;
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "AbortError")) became("gone");
    throw error;
  } finally {
    clearTimeout(late);
    if (isLate) slow -= 1;
    if (slow === 0 && connection.value === "slow") connection.value = "ok";
  }
}

function answered(status: number) {
  if (status === 401) became("unauthorized");
  else if (status === 502 || status === 503 || status === 504) became("unavailable");
  else if (connection.value !== "ok" && connection.value !== "slow") {
    connection.value = "ok";
    returns.value += 1;
  }
}

function became(state: Connection) {
  connection.value = state;
  clearTimeout(retry);
  retry = setTimeout(() => void probe(), RETRY_MS);
}

async function probe() {
  await report(fetch(`${base}api/v1/status/buildinfo`, { credentials: "same-origin", cache: "no-store" }), false).catch(
    () => undefined,
  );
}
