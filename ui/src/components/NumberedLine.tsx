/** A line of a text that is shown with the numbers of its lines; to be put into a `pre` of the class `numbered`. */

import type { ComponentChildren } from "preact";

interface Props {
  number: number;
  /** The line that is meant: it is scrolled to. */
  isMarked: boolean;
  /** The address of the page with this line marked, where there is one. */
  link?: string;
  children: ComponentChildren;
}

export function NumberedLine({ number, isMarked, link, children }: Props) {
  const reveal = (element: HTMLElement | null) => {
    if (isMarked) element?.scrollIntoView({ block: "center" });
  };
  return (
    <div class={`numbered-line${isMarked ? " marked" : ""}`} ref={reveal}>
      {link === undefined ? (
        <span class="line-number">{number}</span>
      ) : (
        <a data-page class="line-number" href={link} aria-label={`Line ${number}`}>
          {number}
        </a>
      )}
      <code>
        {children}
        {"\n"}
      </code>
    </div>
  );
}
