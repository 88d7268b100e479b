/** A list of any length of which only the rows in sight are in the document. Rows may have different heights. */

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { Heights } from "../lib/heights";

interface Props<T> {
  items: readonly T[];
  /** A row; its height is measured. */
  row: (item: T, index: number) => ComponentChildren;
  /** The height of a row that was not yet shown, pixels. */
  estimate: number;
  itemKey: (item: T, index: number) => string | number;
  /** Classes of the part that scrolls; its height is bounded by the style sheet. */
  class?: string;
  /** `list` unless the list is part of a table. */
  role?: "list" | "rowgroup";
  label?: string;
}

/** Rows above and below those in sight, so that scrolling shows no gaps. */
const SPARE = 6;

export function VirtualList<T>({ items, row, estimate, itemKey, role = "list", label, ...rest }: Props<T>) {
  const scroller = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [, redraw] = useState(0);
  // By key: a list that is asked for again has most of its rows again, and must not jump.
  const measured = useRef(new Map<string | number, number>());
  const heights = useMemo(() => {
    const made = new Heights(items.length, estimate);
    if (measured.current.size > 0) items.forEach((item, i) => made.set(i, measured.current.get(itemKey(item, i)) ?? estimate));
    return made;
  }, [items, estimate]);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const look = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const resized = new ResizeObserver(look);
    resized.observe(element);
    element.addEventListener("scroll", look, { passive: true });
    return () => {
      resized.disconnect();
      element.removeEventListener("scroll", look);
    };
  }, []);

  const first = Math.max(0, heights.at(view.top) - SPARE);
  const last = Math.min(items.length, heights.at(view.top + view.height) + 1 + SPARE);

  // What is not as high as thought moves those below.
  const measure = (rows: Iterable<HTMLElement>) => {
    let isChanged = false;
    for (const element of rows) {
      const index = Number(element.dataset["index"]);
      if (index >= items.length || !heights.set(index, element.offsetHeight)) continue;
      measured.current.set(itemKey(items[index] as T, index), element.offsetHeight);
      isChanged = true;
    }
    if (isChanged) redraw((n) => n + 1);
  };
  // A row may grow by itself, as a card that is opened and asks the server for what it shows.
  const latest = useRef(measure);
  latest.current = measure;
  const grown = useMemo(
    () =>
      new ResizeObserver((entries) => {
        const rows = entries.map((entry) => entry.target as HTMLElement);
        rows.filter((row) => !row.isConnected).forEach((row) => grown.unobserve(row));
        latest.current(rows.filter((row) => row.isConnected));
      }),
    [],
  );
  useLayoutEffect(() => () => grown.disconnect(), []);
  useLayoutEffect(() => {
    const rows = [...(scroller.current?.querySelectorAll<HTMLElement>(":scope > .vl-sizer > .vl-row") ?? [])];
    measure(rows);
    rows.forEach((row) => grown.observe(row));
  });

  const shown = [];
  for (let i = first; i < last; i++) {
    const item = items[i] as T;
    shown.push(
      <div
        key={itemKey(item, i)}
        class="vl-row"
        data-index={i}
        style={{ top: heights.top(i) }}
        role={role === "list" ? "listitem" : "presentation"}
      >
        {row(item, i)}
      </div>,
    );
  }
  return (
    // A part that scrolls can be reached by the keyboard.
    <div ref={scroller} class={`vl ${rest.class ?? ""}`} tabIndex={0} role={role} aria-label={label}>
      <div class="vl-sizer" style={{ height: heights.total }} role="presentation">
        {shown}
      </div>
    </div>
  );
}
