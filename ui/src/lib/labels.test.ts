import { expect, it } from "vitest";

import { formatSeries } from "./labels";

it.each([
  [{ __name__: "up", job: "a", instance: "b:1" }, 'up{instance="b:1", job="a"}'],
  [{ __name__: "up" }, "up"],
  [{ job: "a" }, '{job="a"}'],
  [{}, "{}"],
  [{ __name__: "my.metric", "a b": 'x"y\\\n' }, '{"my.metric", "a b"="x\\"y\\\\\\n"}'],
])("writes %j", (labels, text) => expect(formatSeries(labels)).toBe(text));
