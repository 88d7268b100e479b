/** Slips of the hand that can be named, each with the text that was meant. */

import { nearest } from "../../lib/similar";
import type { Span } from "../../lib/promql";

export interface Slip {
  /** What is wrong, as a sentence. */
  says: string;
  /** What the button does. */
  fix: string;
  /** The query as it was meant. */
  fixed: string;
}

/** Characters of word processors and other keyboards, and what PromQL has in their place. */
const FOREIGN: Readonly<Record<string, string>> = {
  "“": '"',
  "”": '"',
  "„": '"',
  "«": '"',
  "»": '"',
  "＂": '"',
  "「": '"',
  "」": '"',
  "‘": "'",
  "’": "'",
  "‚": "'",
  "（": "(",
  "）": ")",
  "｛": "{",
  "｝": "}",
  "［": "[",
  "］": "]",
  "【": "[",
  "】": "]",
  "，": ",",
  "：": ":",
  "＝": "=",
  "！": "!",
  "～": "~",
  "｜": "|",
  "–": "-",
  "—": "-",
  "−": "-",
  "×": "*",
  "÷": "/",
  "＋": "+",
  "＊": "*",
  "／": "/",
  "＜": "<",
  "＞": ">",
  "\u00a0": " ",
  "\u2007": " ",
  "\u202f": " ",
  "\u3000": " ",
  "\u200b": "",
  "\ufeff": "",
};

/** Characters outside of strings that PromQL does not have, if they are all that is wrong with them. */
export function foreignCharacters(expr: string): Slip | null {
  let fixed = "";
  const found = new Set<string>();
  let quote = "";
  for (let i = 0; i < expr.length; i++) {
    const char = expr[i] ?? "";
    if (quote !== "") {
      fixed += char;
      if (char === "\\" && quote !== "`") fixed += expr[++i] ?? "";
      else if (char === quote) quote = "";
      continue;
    }
    if (char === '"' || char === "'" || char === "`") quote = char;
    const meant = FOREIGN[char];
    if (meant !== undefined) found.add(char);
    fixed += meant ?? char;
  }
  if (found.size === 0) return null;
  const shown = [...found].map((char) =>
    char.trim() === "" || char === "\u200b" ? `U+${char.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}` : char,
  );
  return {
    says: `PromQL does not know ${shown.join(" ")}, which stand here for plain characters.`,
    fix: "Put plain ones",
    fixed,
  };
}

/** `rate(x)`: the function wants a range, of which none is written. */
export function missingRange(expr: string, message: string): Slip | null {
  const said = /(\d+):(\d+): parse error: expected type range vector in call to function "(\w+)", got instant vector/.exec(
    message,
  );
  if (!said) return null;
  const start = offset(expr, Number(said[1]), Number(said[2]));
  const end = selectorEnd(expr, start);
  if (end === null) return null;
  return {
    says: `${said[3]} looks at a range of time, and none is written.`,
    fix: "Add [5m]",
    fixed: `${expr.slice(0, end)}[5m]${expr.slice(end)}`,
  };
}

/** A name that does not exist, where others are like it. */
export function misspelt(
  expr: string,
  place: Span & { text: string },
  names: readonly string[],
  kind: "metric" | "label" | "value",
  of = "",
): Slip[] {
  return nearest(place.text, names).map((name) => ({
    says: `There is no ${kind} ${place.text}${of}.`,
    fix: `Use ${name}`,
    fixed: expr.slice(0, place.from) + (kind === "value" ? JSON.stringify(name) : name) + expr.slice(place.to),
  }));
}

/** The offset of a line and a column, both counted from 1; columns count bytes of UTF-8, as the server's do. */
export function offset(expr: string, line: number, column: number): number {
  const lines = expr.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  const text = lines[line - 1] ?? "";
  let bytes = 1;
  let at = 0;
  for (const char of text) {
    if (bytes >= column) break;
    bytes += new TextEncoder().encode(char).length;
    at += char.length;
  }
  return before + at;
}

/** Where a selector that begins at a place ends; null if there is none. */
function selectorEnd(expr: string, start: number): number | null {
  let end = start + (/^[a-zA-Z_:][\w:]*/.exec(expr.slice(start))?.[0].length ?? 0);
  if (expr[end] === "{") {
    const close = /^\{(?:[^"'`}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)*\}/.exec(expr.slice(end));
    if (!close) return null;
    end += close[0].length;
  }
  return end > start && !/^\s*[[(]/.test(expr.slice(end)) ? end : null;
}
