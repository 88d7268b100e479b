import { expect, it } from "vitest";

import { formatTime, parseTime } from "./time";

it("reads what it wrote, in both zones", () => {
  for (const zone of ["utc", "local"] as const) {
    const ms = Date.UTC(2026, 0, 31, 12, 5, 9);
    expect(parseTime(formatTime(ms, zone), zone)).toBe(ms);
  }
  expect(formatTime(0, "utc")).toBe("1970-01-01 00:00:00");
  expect(parseTime("2026-01-31 12:00", "utc")).toBe(Date.UTC(2026, 0, 31, 12));
  expect(parseTime("2026-01-31", "utc")).toBe(Date.UTC(2026, 0, 31));
  expect(parseTime("2026-01-31T12:00:00Z", "local")).toBe(Date.UTC(2026, 0, 31, 12));
  for (const text of ["", "now", "2026", "31.1.2026"]) expect(parseTime(text, "utc")).toBeNull();
});
