/** Tabs above a panel: one of them is reached by the Tab key, the others from it by arrows. */

interface Props<V extends string> {
  label: string;
  /** Begins the identifiers of tabs; the panel's is `panelId`. */
  id: string;
  panelId: string;
  value: V;
  options: readonly (readonly [V, string])[];
  onChange: (value: V) => void;
}

/** The identifier of a tab, which labels the panel. */
export function tabId(id: string, value: string): string {
  return `${id}-${value}`;
}

export function Tabs<V extends string>({ label, id, panelId, value, options, onChange }: Props<V>) {
  const go = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const at = options.findIndex(([option]) => option === value);
    const next = options[(at + by + options.length) % options.length]?.[0];
    if (next === undefined) return;
    onChange(next);
    document.getElementById(tabId(id, next))?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={go}>
      {options.map(([option, title]) => (
        <button
          key={option}
          type="button"
          role="tab"
          id={tabId(id, option)}
          aria-selected={value === option}
          aria-controls={panelId}
          tabIndex={value === option ? 0 : -1}
          onClick={() => onChange(option)}
        >
          {title}
        </button>
      ))}
    </div>
  );
}
