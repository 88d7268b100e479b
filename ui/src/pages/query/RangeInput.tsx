/** A length of time with steps to the next smaller and larger one. */

import { useEffect, useState } from "preact/hooks";

import { formatDuration, parseDuration } from "../../lib/duration";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  1_000,
  10_000,
  MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
  7 * DAY,
  14 * DAY,
  28 * DAY,
  56 * DAY,
  112 * DAY,
  182 * DAY,
  365 * DAY,
  730 * DAY,
];

export function RangeInput({ label, value, onChange }: { label: string; value: number; onChange: (value: number) => void }) {
  const shown = formatDuration(value);
  const [text, setText] = useState(shown);
  useEffect(() => setText(shown), [shown]);
  const parsed = parseDuration(text);
  const take = () => parsed !== null && parsed > 0 && parsed !== value && onChange(parsed);
  const shorter = STEPS.filter((step) => step < value).pop();
  const longer = STEPS.find((step) => step > value);
  return (
    <div class="range-input" role="group" aria-label={label}>
      <button
        type="button"
        aria-label="Shorter range"
        disabled={shorter === undefined}
        onClick={() => shorter !== undefined && onChange(shorter)}
      >
        −
      </button>
      <input
        type="text"
        aria-label={label}
        aria-invalid={!parsed}
        value={text}
        spellcheck={false}
        onInput={(event) => setText(event.currentTarget.value)}
        onBlur={take}
        onKeyDown={(event) => event.key === "Enter" && take()}
      />
      <button
        type="button"
        aria-label="Longer range"
        disabled={longer === undefined}
        onClick={() => longer !== undefined && onChange(longer)}
      >
        +
      </button>
    </div>
  );
}
