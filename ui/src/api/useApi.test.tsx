import { act, cleanup, render } from "@testing-library/preact";
import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { get } from "./client";
import { connection } from "./connection";
import { useApi, type Fetched } from "./useApi";

/** How the server answers now. */
let answer: () => Promise<Response>;
let shown: Fetched<unknown>;

const json = (status: number, body: unknown) => () => Promise.resolve(new Response(JSON.stringify(body), { status }));
const success = (data: unknown) => json(200, { status: "success", data });
const gone = () => Promise.reject(new TypeError("failed to fetch"));

function Shows({ name }: { name: string | null }) {
  shown = useApi(name, (signal) => get("/status/flags", {}, { signal }), { everyMs: 1000 });
  return null;
}

const settle = (ms = 0) =>
  act(async () => {
    await vi.advanceTimersByTimeAsync(ms);
  });

beforeEach(() => {
  vi.useFakeTimers();
  connection.value = "ok";
  vi.stubGlobal("fetch", () => answer());
});

afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

it("keeps what it has while the server is away, says so, and goes on by itself", async () => {
  answer = success({ a: "1" });
  render(<Shows name="a" />);
  await settle();
  expect(shown.answer?.data).toEqual({ a: "1" });
  answer = gone;
  await settle(1000);
  await settle();
  expect([shown.answer?.data, shown.error?.kind, connection.value]).toEqual([{ a: "1" }, "network", "gone"]);
  answer = success({ a: "2" });
  await settle(3000);
  await settle();
  expect([shown.answer?.data, shown.error, connection.value]).toEqual([{ a: "2" }, undefined, "ok"]);
});

it("says what the server says", async () => {
  answer = json(400, { status: "error", errorType: "bad_data", error: "1:1: parse error: x" });
  render(<Shows name="a" />);
  await settle();
  expect([shown.error?.kind, shown.error?.message, shown.error?.isPassing, connection.value]).toEqual([
    "bad_data",
    "1:1: parse error: x",
    false,
    "ok",
  ]);
});

it.each([
  [401, "unauthorized"],
  [503, "unavailable"],
])("knows status %d", async (status, state) => {
  answer = json(status, "");
  render(<Shows name="a" />);
  await settle();
  expect(connection.value).toBe(state);
  expect(shown.error?.isPassing).toBe(true);
});

it("waits for an answer that takes longer than it is asked again", async () => {
  const takesLong = success({ a: "1" });
  answer = () => new Promise((done) => setTimeout(() => done(takesLong()), 3500));
  render(<Shows name="a" />);
  await settle(3600);
  await settle();
  expect(shown.answer?.data).toEqual({ a: "1" });
});

it("forgets the answer to another question", async () => {
  answer = success({ a: "1" });
  const { rerender } = render(<Shows name="a" />);
  await settle();
  answer = () => new Promise(() => undefined);
  rerender(<Shows name="b" />);
  await settle();
  expect([shown.answer, shown.isLoading]).toEqual([undefined, true]);
});
