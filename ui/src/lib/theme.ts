/** Light and dark: what the system says, unless people chose. */

import { computed, effect, signal } from "@preact/signals";

import { persisted } from "./storage";

export type Theme = "system" | "light" | "dark";

const THEMES: readonly unknown[] = ["system", "light", "dark"];

/** What people chose. */
export const theme = persisted<Theme>("theme", "system", (value) => THEMES.includes(value));

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(prefersDark.matches);
prefersDark.addEventListener("change", (event) => (systemIsDark.value = event.matches));

/** True while the page is dark. */
export const isDark = computed(() => (theme.value === "system" ? systemIsDark.value : theme.value === "dark"));

/** Keeps the document's `data-theme`, which the style sheets look at, as `isDark` says. */
export function applyTheme() {
  effect(() => {
    document.documentElement.dataset["theme"] = isDark.value ? "dark" : "light";
  });
}
