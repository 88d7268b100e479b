/** Keys that work everywhere on the page. */

export interface Shortcut {
  keys: string;
  does: string;
}

/** What the help lists. */
export const SHORTCUTS: readonly Shortcut[] = [
  { keys: "/", does: "Go to the search field, or to the first query" },
  { keys: "Enter", does: "Run the query" },
  { keys: "Ctrl + Enter", does: "Run the query, also while completions are shown" },
  { keys: "Shift + Enter", does: "A new line in the query" },
  { keys: "Ctrl + Space", does: "Show completions" },
  { keys: "Alt + ↑ / Alt + ↓", does: "Earlier and later queries of the history" },
  { keys: "Esc", does: "Close what is open, leave a field" },
  { keys: "?", does: "This help" },
];

/** True while keys are text. Looks into the editor, which has a tree of its own. */
function isTyping(): boolean {
  let active: Element | null = document.activeElement;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  return active instanceof HTMLElement && (active.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(active.tagName));
}

/** The place that `/` goes to: the first that says so by `data-search`. */
export function focusSearch(): boolean {
  const field = document.querySelector<HTMLElement>("[data-search]");
  // Of the editor the first part that takes the focus is what scrolls, not what is written in.
  const inner = field?.shadowRoot?.querySelector<HTMLElement>("[contenteditable]");
  (inner ?? field)?.focus();
  if (field instanceof HTMLInputElement) field.select();
  return field !== null;
}

/** Listens for `/` and `?`. */
export function listenForKeys(openHelp: () => void) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping()) return;
    if (event.key === "/" && focusSearch()) event.preventDefault();
    if (event.key === "?") {
      event.preventDefault();
      openHelp();
    }
  });
}
