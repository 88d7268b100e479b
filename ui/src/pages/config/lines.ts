/** Lines of YAML, and those of them that a search shows. */

export interface Line {
  /** From 1 on. */
  number: number;
  text: string;
  /** It has what is searched for, and is not only the section of one that has. */
  isHit: boolean;
}

/** How deep a line stands. A dash counts: what follows it stands below it. */
function depth(text: string): number {
  return /^[ -]*/.exec(text)?.[0].length ?? 0;
}

/** The lines that have the text, each after those of the sections that it stands in; all lines without a text. */
export function shownLines(lines: readonly string[], search: string): Line[] {
  const lower = search.toLowerCase();
  const all = lines.map((text, i) => ({ number: i + 1, text, isHit: lower !== "" && text.toLowerCase().includes(lower) }));
  if (lower === "") return all;
  const shown: Line[] = [];
  // The sections that are open at a line, the outermost first.
  let open: Line[] = [];
  for (const line of all) {
    open = open.filter(({ text }) => depth(text) < depth(line.text));
    if (line.isHit) shown.push(...open.filter((section) => !shown.includes(section)), line);
    open.push(line);
  }
  return shown;
}

/** A text in parts, each with whether it is what is searched for. */
export function parts(text: string, search: string): [part: string, isHit: boolean][] {
  const found: [string, boolean][] = [];
  const lower = search.toLowerCase();
  let from = 0;
  // Letters whose lower case is longer would move what follows: such texts are not divided.
  const within = text.toLowerCase().length === text.length ? text.toLowerCase() : "";
  for (let at = lower === "" ? -1 : within.indexOf(lower); at >= 0; at = within.indexOf(lower, from)) {
    found.push([text.slice(from, at), false], [text.slice(at, at + lower.length), true]);
    from = at + lower.length;
  }
  found.push([text.slice(from), false]);
  return found.filter(([part]) => part !== "");
}
