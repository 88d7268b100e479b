/** A time with arrows that step by half a range; empty means now. */

import { useEffect, useState } from "preact/hooks";

import { formatTime, parseTime, zone } from "../../lib/time";

interface Props {
  label: string;
  value: number | null;
  rangeMs: number;
  onChange: (value: number | null) => void;
}

export function TimeInput({ label, value, rangeMs, onChange }: Props) {
  const shown = value === null ? "" : formatTime(value, zone.value);
  const [text, setText] = useState(shown);
  useEffect(() => setText(shown), [shown]);
  const isWrong = text.trim() !== "" && parseTime(text, zone.value) === null;
  const take = () => {
    if (text === shown || isWrong) return;
    onChange(text.trim() === "" ? null : parseTime(text, zone.value));
  };
  const step = (by: number) => onChange((value ?? Date.now()) + by * Math.max(rangeMs / 2, 1000));
  return (
    <div class="time-input" role="group" aria-label={label}>
      <button type="button" aria-label="Earlier" onClick={() => step(-1)}>
        ‹
      </button>
      <input
        type="text"
        aria-label={label}
        aria-invalid={isWrong}
        placeholder={label}
        title={`Year-month-day hour:minute:second in ${zone.value === "utc" ? "UTC" : "local time"}; empty for now`}
        value={text}
        spellcheck={false}
        onInput={(event) => setText(event.currentTarget.value)}
        onBlur={take}
        onKeyDown={(event) => event.key === "Enter" && take()}
      />
      {value !== null && (
        <button type="button" aria-label="Now" onClick={() => onChange(null)}>
          ✕
        </button>
      )}
      <button type="button" aria-label="Later" onClick={() => step(1)}>
        ›
      </button>
    </div>
  );
}
