import { describe, expect, it } from "vitest";

import { formatDuration, humanDuration, parseDuration } from "./duration";

describe("durations", () => {
  it.each([
    ["1h", 3_600_000],
    ["1h30m", 5_400_000],
    ["2d12h", 216_000_000],
    ["250ms", 250],
    ["90", 90_000],
    ["0.5", 500],
    [" 5m ", 300_000],
  ])("reads %s", (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(["", "m", "5m1h", "-5m", "5 m", "1.5h"])("refuses %j", (text) => expect(parseDuration(text)).toBeNull());

  it.each([1, 250, 1000, 90_000, 3_600_000, 5_400_000, 86_400_000, 7 * 86_400_000, 10 * 86_400_000, 365 * 86_400_000])(
    "reads what it wrote: %d",
    (ms) => expect(parseDuration(formatDuration(ms))).toBe(ms),
  );

  it("tells people the two largest units", () => {
    expect(humanDuration(3.21)).toBe("3.21 ms");
    expect(humanDuration(1500)).toBe("1.5 s");
    expect(humanDuration(3_725_000)).toBe("1h 2m");
    expect(humanDuration(86_400_000 + 5000)).toBe("1d");
  });
});
