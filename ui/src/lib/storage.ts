/** What the browser keeps of people's choices. Where it keeps nothing (private windows), they last as long as the page. */

import { effect, signal, type Signal } from "@preact/signals";

const PREFIX = "weft.";

/** A signal whose value outlives the page. What is stored counts only if `isValid` says so. */
export function persisted<T>(key: string, initial: T, isValid: (value: unknown) => boolean): Signal<T> {
  const value = signal(read(key, initial, isValid));
  let isFirst = true;
  effect(() => {
    const text = JSON.stringify(value.value);
    // What nobody chose is not written: a default may change.
    if (isFirst) isFirst = false;
    else write(key, text);
  });
  return value;
}

function read<T>(key: string, initial: T, isValid: (value: unknown) => boolean): T {
  try {
    const text = localStorage.getItem(PREFIX + key);
    if (text === null) return initial;
    const value: unknown = JSON.parse(text);
    return isValid(value) ? (value as T) : initial;
  } catch {
    return initial;
  }
}

function write(key: string, text: string) {
  try {
    localStorage.setItem(PREFIX + key, text);
  } catch {
    // Full or forbidden: it lasts as long as the page.
  }
}
