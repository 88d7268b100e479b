/** The head of the page: navigation, theme, help. */

import { useEffect, useRef, useState } from "preact/hooks";

import { href, path } from "../lib/router";
import { theme, type Theme } from "../lib/theme";
import { PAGES, type PageEntry } from "../pages";

const THEMES: Readonly<Record<Theme, { next: Theme; sign: string; says: string }>> = {
  system: { next: "light", sign: "◐", says: "Theme: the system's" },
  light: { next: "dark", sign: "☀", says: "Theme: light" },
  dark: { next: "system", sign: "☾", says: "Theme: dark" },
};

export function Header({ onHelp }: { onHelp: () => void }) {
  const { next, sign, says } = THEMES[theme.value];
  return (
    <header class="header">
      <a data-page class="brand" href={href("/query")}>
        <Mark />
        Weft
      </a>
      <nav class="nav" aria-label="Pages">
        {PAGES.filter(({ group }) => group === "main").map((page) => (
          <PageLink key={page.path} page={page} />
        ))}
        <StatusMenu />
      </nav>
      <div class="header-end">
        <button type="button" class="plain" title={says} aria-label={says} onClick={() => (theme.value = next)}>
          <span aria-hidden="true">{sign}</span>
        </button>
        <button type="button" class="plain" title="Keys (?)" aria-label="Help" onClick={onHelp}>
          <span aria-hidden="true">?</span>
        </button>
      </div>
    </header>
  );
}

function PageLink({ page }: { page: PageEntry }) {
  return (
    <a data-page href={href(page.path)} aria-current={path.value === page.path ? "page" : undefined}>
      {page.title}
    </a>
  );
}

/** The pages below Status; its button names the one that is shown. */
function StatusMenu() {
  const menu = useRef<HTMLDetailsElement>(null);
  const [isOpen, setOpen] = useState(false);
  const groups = (["monitoring", "server"] as const).map((group) => PAGES.filter((page) => page.group === group));
  const current = groups.flat().find((page) => page.path === path.value);
  useEffect(() => setOpen(false), [path.value]);
  useEffect(() => {
    if (!isOpen) return;
    const close = (event: Event) => {
      const isInside = event.target instanceof Node && menu.current?.contains(event.target);
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !isInside) setOpen(false);
    };
    document.addEventListener("pointerdown", close);
    document.addEventListener("keydown", close);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("keydown", close);
    };
  }, [isOpen]);
  if (groups.every((group) => group.length === 0)) return null;
  return (
    <details ref={menu} class="menu" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary class={current ? "current" : ""}>Status{current && <span class="menu-current"> › {current.title}</span>}</summary>
      <div class="menu-list">
        {groups.map((group, i) => (
          <div key={i} class="menu-group">
            {group.map((page) => (
              <PageLink key={page.path} page={page} />
            ))}
          </div>
        ))}
      </div>
    </details>
  );
}

/** Threads over threads, which is what Weft is named after. */
function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
      <g fill="none" stroke-width="3" stroke-linecap="round">
        <path class="mark-weft" d="M5 9h6m10 0h6M5 16h6m10 0h6M5 23h22" />
        <path class="mark-warp" d="M11 4v9m0 6v9M21 4v9m0 6v9M16 4v24" />
      </g>
    </svg>
  );
}
