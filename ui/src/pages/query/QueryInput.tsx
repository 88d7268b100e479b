/** Where a query is written: a plain field at once, and the editor in its place as soon as that is loaded. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Ref } from "preact";

import type { Editor } from "./editor";
import { history } from "./history";

interface Props {
  label: string;
  value: string;
  onInput: (value: string) => void;
  onRun: () => void;
  /** Set to what inserts a text at the cursor. */
  insert: { current: ((text: string) => void) | null };
}

export function QueryInput({ label, value, onInput, onRun, insert }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const editor = useRef<Editor | null>(null);
  const [isLoaded, setLoaded] = useState(false);
  // The editor is made once and calls what the newest drawing has.
  const latest = useRef({ value, onInput, onRun });
  latest.current = { value, onInput, onRun };

  useEffect(() => {
    let isGone = false;
    void import("./editor").then(({ createEditor }) => {
      const element = host.current;
      if (isGone || !element) return;
      const hadFocus = document.activeElement === field.current;
      const root = element.shadowRoot ?? element.attachShadow({ mode: "open", delegatesFocus: true });
      const parent = document.createElement("div");
      root.replaceChildren(parent);
      editor.current = createEditor({
        parent,
        root,
        doc: latest.current.value,
        label,
        onChange: (doc) => latest.current.onInput(doc),
        onRun: () => latest.current.onRun(),
        past: () => history.value,
      });
      insert.current = editor.current.insert;
      setLoaded(true);
      if (hadFocus) editor.current.focus();
    });
    return () => {
      isGone = true;
      editor.current?.destroy();
      editor.current = null;
    };
  }, []);

  useLayoutEffect(() => editor.current?.setDoc(value), [value]);

  return (
    <div class="query-input">
      <div ref={host} data-search={isLoaded ? true : undefined} class={isLoaded ? "query-editor" : "hidden"} />
      {!isLoaded && <PlainField label={label} value={value} onInput={onInput} onRun={onRun} field={field} />}
    </div>
  );
}

function PlainField({ label, value, onInput, onRun, field }: Omit<Props, "insert"> & { field: Ref<HTMLTextAreaElement> }) {
  return (
    <textarea
      ref={field}
      data-search
      class="query-plain"
      aria-label={label}
      rows={Math.max(1, value.split("\n").length)}
      spellcheck={false}
      value={value}
      onInput={(event) => onInput(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || event.shiftKey) return;
        event.preventDefault();
        onRun();
      }}
    />
  );
}
