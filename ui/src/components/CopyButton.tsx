/** Puts a text on the clipboard, and says that it did. */

import { useState } from "preact/hooks";

export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [outcome, setOutcome] = useState<string | null>(null);
  const copy = () => {
    // Browsers have a clipboard only for pages that came over TLS or from this machine.
    const written = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
    written.then(
      () => setOutcome("Copied"),
      () => setOutcome("Cannot copy: select the text instead"),
    );
  };
  return (
    <button type="button" class="small" onClick={copy} onBlur={() => setOutcome(null)}>
      <span role="status">{outcome ?? label}</span>
    </button>
  );
}
