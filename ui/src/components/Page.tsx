/** The frame of a page: its heading, which gets the focus when people come here, and what stands beside it. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Props {
  title: string;
  /** Beside the heading: filters, numbers. */
  beside?: ComponentChildren;
  /** True if the heading is there for screen readers alone. */
  isQuiet?: boolean;
  children: ComponentChildren;
}

/** True once a page was left for another: only then the focus moves, and not when the document was loaded. */
let hasNavigated = false;
const documentTitle = document.title;

export function Page({ title, beside, isQuiet = false, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · ${documentTitle}`;
    if (hasNavigated) heading.current?.focus({ preventScroll: true });
    hasNavigated = true;
  }, [title]);
  return (
    <main id="main" class="page" aria-labelledby="page-title">
      <div class={isQuiet ? "visually-hidden" : "page-head"}>
        <h1 id="page-title" ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {beside}
      </div>
      {children}
    </main>
  );
}
