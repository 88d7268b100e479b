/** Filters of a page, whose values stand in its address. */

import { formatCount } from "../lib/numbers";
import { setParam } from "../lib/router";

interface ChoiceProps<V extends string> {
  label: string;
  /** The parameter of the address. */
  name: string;
  value: V | "";
  options: readonly V[];
  /** How many fit an option, if that is shown. */
  count?: (option: V) => number;
}

/** Options side by side, of which one or none is chosen: the one that is chosen is given up by choosing it again. */
export function FilterChoice<V extends string>({ label, name, value, options, count }: ChoiceProps<V>) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map((option) => (
        <button
          key={option}
          type="button"
          aria-pressed={value === option}
          onClick={() => setParam(name, value === option ? "" : option)}
        >
          {count ? `${option} ${formatCount(count(option))}` : option}
        </button>
      ))}
    </div>
  );
}

interface SelectProps {
  label: string;
  /** The parameter of the address. */
  name: string;
  value: string;
  options: readonly string[];
  /** What stands for no filter. */
  all: string;
}

/** The same for many options. */
export function FilterSelect({ label, name, value, options, all }: SelectProps) {
  return (
    <select aria-label={label} value={value} onChange={(event) => setParam(name, event.currentTarget.value)}>
      <option value="">{all}</option>
      {options.map((option) => (
        <option key={option} value={option}>
          {option}
        </option>
      ))}
    </select>
  );
}
