/** A field that filters what is shown below it. `/` goes here. */

interface Props {
  label: string;
  value: string;
  onInput: (value: string) => void;
  /** True in a dialog that is opened to search. */
  isFirst?: boolean;
}

export function SearchInput({ label, value, onInput, isFirst = false }: Props) {
  return (
    <input
      type="search"
      class="search"
      data-search
      autofocus={isFirst}
      aria-label={label}
      placeholder={label}
      value={value}
      spellcheck={false}
      autocomplete="off"
      onInput={(event) => onInput(event.currentTarget.value)}
      onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
    />
  );
}
