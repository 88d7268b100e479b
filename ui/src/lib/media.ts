/** What the window is like. */

import { signal } from "@preact/signals";

const narrow = matchMedia("(max-width: 600px)");

/** True on a phone. */
export const isNarrow = signal(narrow.matches);
narrow.addEventListener("change", (event) => (isNarrow.value = event.matches));
